/** A kernel without nftables for bridges, as some of WSL2 are: containers start all the same. */
import t from 'tap'
import { cniHost, needsRoot } from '../helpers/cni/cni.ts'
import { executables } from '../helpers/run/executable.ts'

/** In the place of nft: what such a kernel answers to a table of that family. */
const NFT = `#!/bin/sh
if [ "$1" = -f ]; then
  text=$(cat)
  case "$text" in *'table bridge'*)
    echo 'Error: Could not process rule: Operation not supported' >&2
    exit 1 ;;
  esac
  printf '%s\\n' "$text" | exec /run/real-nft -f -
fi
exec /run/real-nft "$@"
`

for (const executable of executables()) {
  t.test(executable.name, { skip: needsRoot }, async (t) => {
    const host = await cniHost(t, executable)
    await host.m.sh(`
      nft=$(readlink -f "$(command -v nft)")
      cp "$nft" /run/real-nft
      cat >/run/nft <<'END'\n${NFT}END
      chmod 755 /run/nft
      mount --bind /run/nft "$nft"
    `)
    for (const id of ['c1', 'c2']) await host.container(id)
    await host.ok('ADD', { containerId: 'c1' })
    const tables = async (): Promise<string> => host.m.exec('/run/real-nft', 'list', 'tables')
    t.match(await tables(), /table inet flatnet/)
    t.notMatch(await tables(), /table bridge/)
    const handle = async () => (await host.m.exec('/run/real-nft', '-a', 'list', 'tables')).trim()
    const before = await handle()
    await host.ok('ADD', { containerId: 'c2' })
    t.equal(await handle(), before, 'the next container loads nothing')
    await host.m.exec('/run/real-nft', 'delete', 'table', 'inet', 'flatnet')
    await host.ok('DEL', { containerId: 'c1' })
    await host.ok('ADD', { containerId: 'c1' })
    t.match(await tables(), /table inet flatnet/, 'and a lost table comes back')
    for (const id of ['c1', 'c2']) await host.ok('DEL', { containerId: id })
    t.same(await host.leftovers(), [])
  })
}
