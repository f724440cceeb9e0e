/** gateway/gossip: requests of one host run on another by messages, with a real server; what cannot be is said. */
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { DEFAULT_TIERS } from '../../../../conf/tiers.ts'
import { silentLog } from '../../../../core/log.ts'
import { Metrics } from '../../../../gateway/base/metrics.ts'
import { Messages, type MessagesDeps, type Submission } from '../../../../gateway/gossip/messages.ts'
import type { OwnRequest } from '../../../../gateway/gossip/own-requests.ts'
import { Runner } from '../../../../gateway/gossip/runner.ts'
import type { MessageDisk } from '../../../../gateway/gossip/store.ts'
import { identityOf, memoryDisk } from '../../../helpers/gateway/gossip-world.ts'
import { waitFor } from '../../../helpers/run/wait.ts'
import { SimTime } from '../../../helpers/sim/network.ts'

/** A disk that is full while it is said to be. */
const failing = (disk: MessageDisk, state: { readonly isFull: boolean; refused: number }): MessageDisk => ({
  ...disk,
  save(key, kept, isDurable) {
    if (state.isFull) {
      state.refused++
      throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
    }
    disk.save(key, kept, isDurable)
  },
})

async function world(t: Test, listener: RequestListener) {
  const server = createServer(listener).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  const time = new SimTime()
  const members = [identityOf(1), identityOf(2)] as const
  const runner = new Runner((ip) => ip === '127.0.0.1')
  const hosts: Messages[] = []
  const state = { isLinked: true, isKnown: true, isFull: false, refused: 0, isOn: true }
  const seen: string[] = []
  const host = (hostId: 1 | 2): Messages => {
    const own = new Map<string, OwnRequest>()
    const deps: MessagesDeps = {
      scheduler: time.scheduler(() => 1_795_000_000_000),
      log: silentLog,
      metrics: new Metrics(),
      disk: failing(memoryDisk(), state),
      ownDisk: {
        load: () => [],
        save: (request) => void own.set(request.id, request),
        remove: (id) => void own.delete(id),
      },
      random: () => 0.5,
      get tier() {
        return { ...DEFAULT_TIERS.gossip, enabled: state.isOn }
      },
      tiers: {
        tried: (name) => void seen.push(`${hostId} tried ${name}`),
        found: (name) => void seen.push(`${hostId} found ${name}`),
      },
      identity: () => members[hostId - 1]!.identity,
      keyIdOf: (id) => members[id - 1]?.keyId,
      spkiOf: (id) => (state.isKnown ? members[id - 1]?.spki : undefined),
      linked: () => (state.isLinked ? [3 - hostId] : []),
      send: (to, message) => {
        if (state.isLinked) hosts[to - 1]?.receive(hostId, JSON.parse(JSON.stringify(message)))
        return state.isLinked
      },
      run: (request) => runner.run(request),
    }
    return new Messages(deps)
  }
  hosts.push(host(1), host(2))
  const [one, two] = hosts as [Messages, Messages]
  const submission = (part: Partial<Submission['request']> = {}): Submission => ({
    to: 2,
    target: 'web/',
    host: 'web',
    request: {
      method: 'POST',
      path: '/',
      headers: ['Host', 'web'],
      ip: '127.0.0.1',
      port,
      body: Buffer.alloc(0),
      ...part,
    },
  })
  /** @returns what the client reads in the end */
  const ask = async (part: Partial<Submission['request']> = {}) => {
    time.run(200)
    const submitted = one.submit(submission(part))
    if ('problem' in submitted) return submitted
    return waitFor('there is an answer', 10_000, () => {
      time.run(200)
      return one.request(submitted.id)?.answer
    })
  }
  return { one, two, ask, submission, seen, state, time }
}

t.test('method, path, fields and body there; status, fields and body back', async (t) => {
  const { ask, one, seen, two } = await world(t, (req, res) => {
    let body = ''
    req.on('data', (chunk) => {
      body += chunk
    })
    req.on('end', () => {
      res.writeHead(201, ['X-Two', 'a', 'X-Two', 'b'])
      res.end(`${req.method} ${req.url} ${req.headers['x-kind']} ${body}`)
    })
  })
  const answer = await ask({
    method: 'PATCH',
    path: '/a?b',
    headers: ['Host', 'web', 'X-Kind', 'late', 'Content-Length', '5'],
    body: Buffer.from('hello'),
  })
  t.match(answer, { status: 201 })
  if ('body' in answer) t.equal(Buffer.from(answer.body, 'base64').toString(), 'PATCH /a?b late hello')
  if ('headers' in answer) t.equal(answer.headers.filter((name) => name === 'X-Two').length, 2)
  await waitFor('nothing is kept', 5_000, () => one.status.kept + two.status.kept === 0)
  t.equal(one.status.waiting, 0)
  t.same(seen, ['1 tried gossip', '1 found gossip'])
})

t.test('switched off: nothing is written, and what others send is refused', async (t) => {
  const { ask, one, state, two } = await world(t, (_req, res) => void res.end())
  state.isOn = false
  t.match(await ask(), { problem: 'gossip is switched off on this host (paths.tiers.gossip.enabled)' })
  one.linkUp(2)
  one.receive(2, { type: 'gossip.digest', held: { 2: [7] }, isAnswer: true })
  t.same([one.status.waiting, one.status.kept, two.status.kept], [0, 0, 0])
  state.isOn = true
  t.match(await ask(), { status: 200 })
})

t.test('an answer of 64 KiB is one, a longer one is not', async (t) => {
  const { ask } = await world(t, (req, res) => void res.end(Buffer.alloc(Number(req.url?.slice(1)))))
  t.match(await ask({ path: `/${64 * 1024}` }), { status: 200 })
  t.match(await ask({ path: `/${64 * 1024 + 1}` }), { problem: /longer than 65536 bytes/ })
})

t.test('what goes wrong at the container is said', async (t) => {
  const { ask } = await world(t, (req, res) => {
    if (req.url === '/reset') req.socket.destroy()
    else if (req.url === '/switch')
      req.socket.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n')
    else res.writeHead(200, { 'x-long': 'x'.repeat(60_000) }).end(Buffer.alloc(30_000))
  })
  t.match(await ask({ path: '/reset' }), { problem: /did not answer: socket hang up/ })
  t.match(await ask({ path: '/switch', headers: ['Host', 'web', 'Upgrade', 'x', 'Connection', 'Upgrade'] }), {
    problem: /did not answer/,
  })
  t.match(await ask({ method: 'CONNECT', path: 'x:1' }), { problem: /opens no tunnel/ })
  t.match(await ask({ ip: '127.0.0.9' }), { problem: /no container has 127\.0\.0\.9 any more/ })
  t.match(await ask({ path: '/long head' }), { problem: /did not answer/ })
  t.match(await ask({ path: '/long' }), { problem: /did not answer|cannot be sent/ })
})

t.test('what cannot go is said at once', async (t) => {
  const { ask, one, state, submission } = await world(t, (_req, res) => void res.end())
  t.match(await ask({ body: Buffer.alloc(81 * 1024) }), {
    problem: /bytes with its head, and a message 81920 at most/,
  })
  state.isKnown = false
  t.match(await ask(), { problem: /key of host 2 is not known here yet/ })
  state.isKnown = true
  state.isLinked = false
  for (let i = 0; i < 64; i++) t.ok('id' in one.submit(submission()))
  t.match(one.submit(submission()), { problem: /64 messages of host 1 wait/ })
  t.equal(one.waiting().length, 64, 'and one that did not go does not wait')
})

t.test('a full disk costs messages and nothing else', async (t) => {
  const { ask, one, state, submission, time } = await world(t, (_req, res) => {
    // What was taken before is executed, and its answer has no room.
    state.isFull = true
    res.end()
  })
  state.isFull = true
  t.match(await ask(), { problem: /cannot keep it on disk/ })
  t.equal(one.status.waiting, 0)
  state.isFull = false
  t.ok('id' in one.submit(submission()))
  await waitFor('the answer has no room', 10_000, () => state.refused === 2)
  state.isFull = false
  time.run(200)
  t.equal(one.status.waiting, 1, 'its answer is lost, and it is not executed again')
})

t.test('a container that is slow holds up no other', async (t) => {
  const held: (() => void)[] = []
  const { ask, one, submission, time } = await world(t, (req, res) => {
    if (req.url === '/slow') held.push(() => void res.end())
    else res.end('quick')
  })
  for (let i = 0; i < 32; i++) {
    one.submit(submission({ path: '/slow' }))
    time.run(200)
  }
  await waitFor('all of them run', 10_000, () => held.length === 32)
  const last = one.submit(submission())
  time.run(200)
  await turn()
  if (!('id' in last)) throw new Error('it was not sent')
  const answer = await waitFor('it is refused', 10_000, () => {
    time.run(200)
    return one.request(last.id)?.answer
  })
  t.match(answer, { problem: /too many messages at once/ })
  for (const answerIt of held) answerIt()
  await waitFor('they are answered', 10_000, () => {
    time.run(200)
    return one.status.waiting === 0
  })
  t.match(await ask(), { status: 200 })
})

t.test(
  'a gateway that stops waits for what runs, begins nothing, and answers what is still under way',
  async (t) => {
    const held: (() => void)[] = []
    const { one, submission, time, two } = await world(t, (_req, res) =>
      held.push(() => void res.end('done')),
    )
    const first = one.submit(submission())
    const second = one.submit(submission())
    time.run(200)
    await waitFor('both run', 10_000, () => held.length === 2)
    let isDrained = false
    const drained = two.drain(5_000).then(() => {
      isDrained = true
    })
    const third = one.submit(submission())
    time.run(200)
    held[0]?.()
    if (!('id' in first && 'id' in second && 'id' in third)) throw new Error('not sent')
    await waitFor('the first is answered', 10_000, () => {
      time.run(200)
      return one.request(first.id)?.answer
    })
    t.equal(isDrained, false)
    time.run(5_000)
    await drained
    two.stop()
    time.run(200)
    t.match(one.request(second.id)?.answer, {
      problem: /stopped before the container had answered; it may have/,
    })
    t.equal(one.request(third.id)?.answer, undefined, 'the third waits for its next run')
    t.equal(held.length, 2)
    held[1]?.()
  },
)
