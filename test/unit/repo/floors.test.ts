/** The floors of gateway/, as the linter holds them: an import that runs back up, or to the side, fails the check. */
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ROOT } from '../../helpers/run/executable.ts'
import { scratchFolder } from '../../helpers/run/scratch.ts'

/** From the lowest to the highest; folders of one floor do not import each other. */
const FLOORS = [
  ['base'],
  ['registry'],
  ['leases', 'links'],
  ['cluster', 'paths', 'replication', 'gossip'],
  ['dataplane', 'ingress', 'dns', 'mdns'],
  ['api'],
] as const
const FOLDERS = FLOORS.flat()
const floorOf = (folder: string): number =>
  FLOORS.findIndex((floor) => (floor as readonly string[]).includes(folder))

/** Files that wire the folders together, above all floors. */
const ABOVE = [
  'daemon',
  'compose',
  'compose-base',
  'compose-member-signalling',
  'compose-cluster',
  'compose-messages',
  'compose-nebula',
  'compose-p2p',
  'compose-p2p-process',
  'compose-gateway-paths',
  'compose-port-mapping',
]
const RULE = 'lint/style/noRestrictedImports'

/**
 * Lints one file for each folder, which imports each of `targets` in a line of its own. @returns `file:target` refused
 */
function refused(dir: string, targets: readonly string[]): Set<string> {
  copyFileSync(join(ROOT, 'biome.json'), join(dir, 'biome.json'))
  for (const folder of FOLDERS) {
    mkdirSync(join(dir, 'gateway', folder, 'inner'), { recursive: true })
    const lines = (up: string) => targets.map((target) => `import '${up}${target}.ts'\n`).join('')
    writeFileSync(join(dir, 'gateway', folder, 'file.ts'), lines('../'))
    writeFileSync(join(dir, 'gateway', folder, 'inner/file.ts'), lines('../../'))
  }
  const flags = ['--vcs-enabled=false', '--only=style/noRestrictedImports', '--max-diagnostics=none']
  const ran = spawnSync(
    join(ROOT, 'node_modules/.bin/biome'),
    ['lint', ...flags, '--reporter=json', 'gateway'],
    {
      cwd: dir,
      encoding: 'utf8',
    },
  )
  const { diagnostics } = JSON.parse(ran.stdout)
  const seen = new Set<string>()
  for (const { category, location } of diagnostics) {
    if (category !== RULE) continue
    const line = location.start?.line ?? 0
    seen.add(`${location.path}:${targets[line - 1]}`)
  }
  return seen
}

t.test('nothing is loose in gateway but its life and its wiring', (t) => {
  const files = readdirSync(join(ROOT, 'gateway'), { withFileTypes: true })
  const loose = files.filter((entry) => entry.isFile()).map((entry) => entry.name)
  t.same(loose.sort(), ABOVE.map((name) => `${name}.ts`).sort())
  t.end()
})

t.test('each folder of gateway imports lower floors alone', async (t) => {
  const targets = [...FOLDERS.map((folder) => `${folder}/any`), ...ABOVE]
  const seen = refused(scratchFolder(t), targets)
  for (const folder of FOLDERS)
    for (const file of ['file.ts', 'inner/file.ts'])
      for (const target of targets) {
        const [other = ''] = target.split('/')
        if (other === folder) continue
        const isAllowed = !ABOVE.includes(target) && floorOf(other) < floorOf(folder)
        const key = `gateway/${folder}/${file}:${target}`
        t.equal(
          seen.has(key),
          !isAllowed,
          `${folder} ${isAllowed ? 'may' : 'must not'} import ${target} (${file})`,
        )
      }
})
