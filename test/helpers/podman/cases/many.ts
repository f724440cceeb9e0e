/** Twenty containers at once, and none of them left afterwards. */
import type { Test } from 'tap'
import { get, podmanHost } from '../host.ts'
import type { Target } from '../run.ts'

const MANY = 20

export async function many(t: Test, { runtime, executable }: Target): Promise<void> {
  const host = await podmanHost(t, executable, { runtime })
  const names = Array.from({ length: MANY }, (_, i) => `c${i}`)
  await Promise.all(names.map((name, i) => host.web(name, '-p', `${9100 + i}:80`)))
  const addresses = await Promise.all(names.map((name) => host.address(name)))

  t.test('each has an address of its own and answers', async (t) => {
    t.equal(new Set(addresses).size, MANY)
    const pages = await Promise.all(addresses.map((ip) => get(host.m, `http://${ip}/`)))
    t.ok(pages.every(({ status }) => status === 200))
  })
  t.test('each port leads to its own container', async (t) => {
    const seen = await Promise.all(
      names.map(async (name, i) => [
        name,
        (await get(host.m, `http://127.0.0.1:${9100 + i}/cgi-bin/name`)).body,
      ]),
    )
    const ids = await Promise.all(names.map(async (name) => (await host.inspect(name)).Id.slice(0, 12)))
    t.strictSame(
      seen,
      names.map((name, i) => [name, `${ids[i]}\n`]),
    )
  })
  t.test('leases, links and ports are as many', async (t) => {
    t.equal(host.leases().length, MANY)
    const left = await host.leftovers()
    t.equal(left.filter((line) => line.startsWith('link ')).length, MANY)
    t.equal(left.filter((line) => line.startsWith('nft ')).length, MANY)
  })
  t.test('podman rm -f takes everything away', async (t) => {
    t.strictSame(await host.removeAll(), [])
  })
}
