/** Which server is asked when, what counts as an answer, and how many questions may wait; in virtual time. */

import { encode } from 'dns-packet'
import t from 'tap'
import { type Forwarded, Forwarder } from '../../../../gateway/dns/forwarder.ts'
import type { Ask, Outcome } from '../../../../gateway/dns/upstream-udp.ts'
import { SimTime } from '../../../helpers/sim/network.ts'

const A = { host: '192.0.2.1', port: 53 }
const B = { host: '192.0.2.2', port: 53 }
const REQUEST = encode({ type: 'query', id: 7, questions: [{ type: 'A', name: 'web.example' }] })
const answer = (rcode: number): Outcome => ({
  kind: 'answer',
  bytes: encode({ type: 'response', id: 9, flags: rcode, questions: [{ type: 'A', name: 'web.example' }] }),
})
const FAILED: Outcome = { kind: 'failed', isForged: false }
const FORGED: Outcome = { kind: 'failed', isForged: true }

/** Servers that answer as they are told, 1 ms later; the rest is silence. */
function world(says: (host: string, nth: number) => Outcome | undefined) {
  const time = new SimTime()
  const scheduler = time.scheduler(() => 0)
  const tries: string[] = []
  const forged: string[] = []
  let open = 0
  const askUdp: Ask = ({ host }, _request, done) => {
    tries.push(`${time.now} ${host}`)
    open++
    const outcome = says(host, tries.length)
    const cancel =
      outcome === undefined
        ? () => {}
        : time.after(1, () => {
            open--
            done(outcome)
          })
    return () => {
      cancel()
      open--
    }
  }
  const forwarder = new Forwarder({ scheduler, onForged: ({ host }) => forged.push(host), askUdp })
  const ask = (client = '10.100.1.10', servers = [A, B]): { end?: Forwarded } => {
    const asked: { end?: Forwarded } = {}
    void forwarder.forward({ bytes: REQUEST, client, isTcp: false, servers }).then((end) => {
      asked.end = end
    })
    return asked
  }
  /** Lets promises settle after time has passed. */
  const run = async (ms: number): Promise<void> => {
    time.run(ms)
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { ask, run, tries, forged, forwarder, open: () => open }
}

t.test('the first server answers', async (t) => {
  const w = world(() => answer(0))
  const asked = w.ask()
  await w.run(1)
  t.match(asked.end, { kind: 'answer' })
  t.same(w.tries, ['0 192.0.2.1'])
})

t.test('"no such name" is an answer', async (t) => {
  const w = world(() => answer(3))
  const asked = w.ask()
  await w.run(1)
  t.match(asked.end, { kind: 'answer' })
  t.same(w.tries.length, 1)
})

t.test('where nothing listens, or the server has a failure, the next is asked at once', async (t) => {
  for (const first of [FAILED, answer(2), answer(5)]) {
    const w = world((host) => (host === A.host ? first : answer(0)))
    const asked = w.ask()
    await w.run(2)
    t.match(asked.end, { kind: 'answer' })
    t.same(w.tries, ['0 192.0.2.1', '1 192.0.2.2'])
  }
})

t.test('a failure of all servers is passed on', async (t) => {
  const w = world(() => answer(2))
  const asked = w.ask()
  await w.run(2)
  t.match(asked.end, { kind: 'answer' })
  t.same(w.tries.length, 2)
})

t.test('a silent server: the next after 1 s, and for 10 s it is asked last', async (t) => {
  const w = world((host) => (host === A.host ? undefined : answer(0)))
  const asked = w.ask()
  await w.run(1_001)
  t.match(asked.end, { kind: 'answer' })
  w.ask()
  await w.run(1)
  t.same(w.tries, ['0 192.0.2.1', '1000 192.0.2.2', '1001 192.0.2.2'])
  await w.run(10_000)
  w.ask()
  t.equal(w.tries.at(-1), '11002 192.0.2.1')
})

t.test('a late answer of the first server counts while the second is asked', async (t) => {
  const w = world((host, nth) => (host === A.host && nth > 1 ? answer(0) : undefined))
  const asked = w.ask('10.100.1.10', [A])
  await w.run(1_001)
  t.match(asked.end, { kind: 'answer' }, 'a lost packet is sent again')
  t.equal(w.open(), 0, 'the first socket is closed')
})

t.test('silence of all: an end after 4.5 s, and nothing is left', async (t) => {
  const w = world(() => undefined)
  const asked = w.ask()
  await w.run(4_499)
  t.equal(asked.end, undefined)
  await w.run(1)
  t.same(asked.end, { kind: 'none' })
  t.ok(w.tries.length <= 6)
  t.equal(w.open(), 0)
  t.equal(w.forwarder.waiting, 0)
})

t.test('nothing listens anywhere: an end at once', async (t) => {
  const w = world(() => FAILED)
  const asked = w.ask()
  await w.run(2)
  t.same(asked.end, { kind: 'none' })
})

t.test('forged answers: another port and id, and it is told', async (t) => {
  const w = world((_host, nth) => (nth < 3 ? FORGED : answer(0)))
  const asked = w.ask('10.100.1.10', [A])
  await w.run(3)
  t.match(asked.end, { kind: 'answer' })
  t.same(w.forged, [A.host, A.host])
})

t.test('one client: 128 wait, more are turned away', async (t) => {
  const w = world(() => undefined)
  for (let i = 0; i < 128; i++) w.ask()
  const over = w.ask()
  await w.run(0)
  t.same(over.end, { kind: 'busy' })
  t.equal(w.forwarder.waiting, 128)
  w.forwarder.close()
  t.equal(w.forwarder.waiting, 0)
})

t.test('all clients: 512 wait; who has most makes room for another', async (t) => {
  const w = world(() => undefined)
  const first = w.ask('10.100.1.1')
  for (let i = 0; i < 511; i++) w.ask(`10.100.1.${1 + Math.floor(i / 127)}`)
  t.equal(w.forwarder.waiting, 512)
  const modest = w.ask('10.100.1.200')
  await w.run(0)
  t.same(first.end, { kind: 'busy' })
  t.equal(modest.end, undefined, 'it waits')
  t.equal(w.forwarder.waiting, 512)
  w.forwarder.close()
})
