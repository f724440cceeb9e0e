/** gateway/dataplane/nebula/words: no reason for Nebula speaks of UDP. */

import t from 'tap'
import { nebulaWords } from '../../../../../gateway/dataplane/nebula/words.ts'
import { P2P_WORDS, PEER_WORDS } from '../../../../../gateway/paths/escalation/reasons.ts'

t.test('every reason', (t) => {
  for (const words of [...Object.values(P2P_WORDS), ...Object.values(PEER_WORDS)]) {
    const said = nebulaWords(words)
    t.notMatch(said, /UDP|P2P|p2p/, said)
  }
  t.end()
})

t.test('those that people see most', (t) => {
  t.equal(nebulaWords(P2P_WORDS.proven), 'Nebula is proven both ways')
  t.equal(nebulaWords(P2P_WORDS['no process']), 'Nebula does not run')
  t.equal(
    nebulaWords(P2P_WORDS['no word']),
    'the peer says nothing about Nebula; it is off there, or an older version runs',
  )
  t.equal(
    nebulaWords(P2P_WORDS['no probe answered']),
    'no probe was answered: no certificate with the slice, or Nebula finds no way to the peer',
  )
  t.end()
})
