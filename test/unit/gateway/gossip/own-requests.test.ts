/** gateway/gossip: requests of this host's clients, from 202 to the answer and a day later. */
import t from 'tap'
import { LIFE_MS } from '../../../../gateway/gossip/envelope.ts'
import { type OwnDisk, type OwnRequest, OwnRequests } from '../../../../gateway/gossip/own-requests.ts'

function memoryDisk(): OwnDisk & { readonly files: Map<string, OwnRequest> } {
  const files = new Map<string, OwnRequest>()
  return {
    files,
    load: () => [...files.values()],
    save: (request) => void files.set(request.id, request),
    remove: (id) => void files.delete(id),
  }
}
const request = (id: string): OwnRequest => ({
  id,
  seq: 1,
  to: 4,
  method: 'POST',
  target: 'web/',
  host: 'web',
  at: 0,
  expires: LIFE_MS,
})
const answer = { status: 200, headers: [], body: '' }

t.test('one answer, of the host that was asked, kept for a day and over a restart', (t) => {
  const disk = memoryDisk()
  const own = new OwnRequests(disk)
  own.put(request('a'))
  t.notOk(own.answered(5, 'a', answer, 1), 'another host')
  t.notOk(own.answered(4, 'b', answer, 1), 'another request')
  t.equal(own.waiting().length, 1)
  t.ok(own.answered(4, 'a', answer, 1_000 + LIFE_MS))
  t.notOk(own.answered(4, 'a', { problem: 'x' }, 1), 'a second answer')
  t.same(own.waiting(), [])
  const again = new OwnRequests(disk)
  t.match(again.get('a'), { answer })
  again.sweep(999 + LIFE_MS, LIFE_MS)
  t.ok(again.get('a'))
  again.sweep(1_000 + LIFE_MS, LIFE_MS)
  t.equal(again.get('a'), undefined)
  t.equal(disk.files.size, 0)
  t.end()
})

t.test('what never arrived says so for a day', (t) => {
  const own = new OwnRequests(memoryDisk())
  own.put(request('a'))
  own.sweep(LIFE_MS, LIFE_MS)
  t.match(own.get('a')?.answer, { problem: /no answer of host 4 came in time/ })
  t.ok(own.answered(4, 'a', answer, 2 * LIFE_MS), 'an answer that comes late counts all the same')
  t.match(own.get('a'), { answer })
  own.sweep(2 * LIFE_MS, LIFE_MS)
  t.equal(own.get('a'), undefined)
  t.end()
})

t.test('256 and no more', (t) => {
  const own = new OwnRequests(memoryDisk())
  for (let i = 0; i < 255; i++) own.put(request(String(i)))
  t.notOk(own.isFull)
  own.put(request('last'))
  t.ok(own.isFull)
  own.forget('last')
  t.notOk(own.isFull)
  t.end()
})
