/**
 * An ADD that is killed while its nft loads the ruleset: the nft lives on without the lock, and comes between
 * the next one (docs/architecture/cni.md#c8).
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { faultHost, needsStrace, standing } from '../helpers/cni/fault.ts'
import { executables } from '../helpers/run/executable.ts'
import { waitFor } from '../helpers/run/wait.ts'

/**
 * In the place of nft: the first that loads waits until the second is about to, and the second until the first is done.
 */
const NFT = (dir: string) => `#!/bin/sh
[ "$1" = -f ] || exec ${dir}/nft "$@"
cat >${dir}/rules.$$
until_there() { while [ ! -e "$1" ]; do sleep 0.02; done; }
if mkdir ${dir}/first 2>/dev/null; then until_there ${dir}/second; ${dir}/nft -f ${dir}/rules.$$; touch ${dir}/done
else touch ${dir}/second; until_there ${dir}/done; exec ${dir}/nft -f ${dir}/rules.$$; fi
`

for (const executable of executables())
  t.test(
    `${executable.name}: the ruleset that an orphaned nft loads is taken`,
    { skip: needsStrace },
    async (t) => {
      const host = await faultHost(t, executable)
      const dir = host.m.dir
      await host.container('c1')
      await host.container('c2')
      writeFileSync(join(dir, 'slow-nft'), NFT(dir), { mode: 0o755 })
      await host.m.sh(`cp /usr/sbin/nft ${dir}/nft; mount --bind ${dir}/slow-nft /usr/sbin/nft`)
      const conf = join(dir, 'conf.json')
      writeFileSync(conf, JSON.stringify(host.conf()))
      const script = `exec env CNI_COMMAND=ADD CNI_CONTAINERID=c1 CNI_NETNS=/run/netns/c1 CNI_IFNAME=eth0 ${host.binDir}/flatnet <${conf}`
      const first = await host.m.start(['sh', '-c', script])
      await waitFor(
        'its nft runs',
        10_000,
        async () => (await host.m.run(['test', '-d', join(dir, 'first')])).rc === 0,
      )
      await first.kill('SIGKILL')
      const second = await host.call('ADD', { containerId: 'c2' })
      t.equal(second.rc, 0, second.stdout)
      await host.ok('ADD')
      t.same((await standing(host)).links, ['c1', 'c2'])
      const text = await host.m.exec(join(dir, 'nft'), 'list', 'ruleset')
      t.equal(text.match(/dnat ip to/g)?.length, 2, 'no rule is there twice')
      t.match(text, /elements = \{ "flatnet0" comment "v\d+ 10\.100\.0\.0\/16 [^"]*masq" \}/)
    },
  )
