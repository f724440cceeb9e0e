/**
 * POSTs by one gateway to a container of another host, while gateways stop, die and lose each other: each is executed
 * once or answered with an error.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { hostContainer } from '../helpers/cluster/host-container.ts'
import { allLinked, joinedHosts } from '../helpers/cluster/hosts.ts'
import { type Outcome, posting } from '../helpers/gateway/posting.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

t.test('two hosts', { skip: needsRoot, timeout: 600_000 }, async (t) => {
  const net = await joinedHosts(t, 2)
  const [one, two] = [net.host(1), net.host(2)]
  const apple = await hostContainer(t, two, 'apple')
  const done = join(two.dir, 'done')
  apple.spawn(...posting('serve', 9000, done))
  await waitFor('it listens', 10_000, () => apple.ns.exec('ss', '-Hltn').includes(':9000 '))
  const argv = ['netns', 'exec', one.ns.name, ...posting('post', 'http://127.0.0.1:8080/~apple-9000/', 8)]
  const client = spawn('ip', argv, { stdio: ['pipe', 'pipe', 'inherit'] })
  t.teardown(() => client.kill('SIGKILL'))
  let out = ''
  client.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  const ended = once(client, 'close')
  const executed = (): string[] =>
    existsSync(done) ? readFileSync(done, 'utf8').split('\n').filter(Boolean) : []
  const goesOn = async (what: string) => {
    const from = executed().length
    await waitFor(`requests are executed ${what}`, 20_000, () => executed().length > from + 40)
  }
  await goesOn('at first')
  await two.restart()
  await goesOn('after the restart of the far gateway')
  await two.kill()
  await two.start()
  await goesOn('after the far gateway was killed')
  net.cut(1, 2)
  await waitFor('the link is found dead', 10_000, async () => (await one.linksUp()).length === 0)
  net.heal(1, 2)
  await allLinked(net)
  await goesOn('after the network was cut')
  await one.restart()
  await goesOn('after the restart of the near gateway')
  client.stdin.end()
  await ended
  const outcomes: Outcome[] = JSON.parse(out.trim().split('\n').at(-1) ?? '[]')
  const times = new Map<string, number>()
  for (const id of executed()) times.set(id, (times.get(id) ?? 0) + 1)
  t.same(
    [...times].filter(([, n]) => n > 1),
    [],
    'none was executed twice',
  )
  const answered = outcomes.filter(([, outcome]) => outcome === 200)
  t.same(
    answered.filter(([id]) => times.get(String(id)) !== 1),
    [],
    'whatever was answered with 200 was executed',
  )
  // Five times 40 were executed; the answers to the 8 under way may be lost in each fault.
  t.ok(answered.length > 160, `${answered.length} of ${outcomes.length} answered`)
  const failed = outcomes.filter(([, outcome]) => outcome !== 200).map(([, outcome]) => outcome)
  t.comment(
    'the others',
    JSON.stringify(Object.groupBy(failed, String), (_, v) => (Array.isArray(v) ? v.length : v)),
  )
  t.ok(outcomes.length > 250)
})
