/**
 * The published package: built, packed, installed without a network, used from plain JavaScript and from TypeScript.
 */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

const ROOT = new URL('../../../', import.meta.url).pathname
const PATH = `${join(ROOT, 'node_modules/.bin')}:${process.env['PATH']}`

// tap puts its own hooks into NODE_OPTIONS of every child, and tsc does not start under them.
const spawn = (cwd: string, command: string, ...args: string[]) =>
  spawnSync('env', ['-u', 'NODE_OPTIONS', `PATH=${PATH}`, command, ...args], { cwd, encoding: 'utf8' })

function run(cwd: string, command: string, ...args: string[]): string {
  const done = spawn(cwd, command, ...args)
  if (done.status !== 0) throw new Error(`${command} ${args.join(' ')}: ${done.stderr}${done.stdout}`)
  return done.stdout
}

t.test('the tarball works where it is installed', async (t) => {
  const folder = t.testdir({ app: { 'package.json': '{"type":"module"}' } })
  run(folder, process.execPath, join(ROOT, 'netlink-ts/pack.ts'), join(folder, 'out'))
  run(folder, 'npm', 'pack', '--silent', './out')
  const app = join(folder, 'app')
  const tarball = readdirSync(folder).find((file) => file.endsWith('.tgz'))
  run(app, 'npm', 'install', '--offline', '--no-audit', '--no-fund', `../${tarball}`)

  const code = (specifier: string) => `
    import { linkList } from 'netlink-ts/route/link.${specifier}'
    import { NETLINK_ROUTE, NetlinkSocket } from 'netlink-ts/socket.${specifier}'
    using socket = NetlinkSocket.open(NETLINK_ROUTE)
    const names = linkList(socket).map((link) => link.name)
    console.log(JSON.stringify(names))`
  for (const specifier of ['js', 'ts']) {
    writeFileSync(join(app, 'app.js'), code(specifier))
    const names: string[] = JSON.parse(
      run(app, process.execPath, '--disable-warning=ExperimentalWarning', 'app.js'),
    )
    t.ok(names.includes('lo'), `imported as .${specifier}`)
  }

  const packed = readdirSync(join(app, 'node_modules/netlink-ts'))
  t.same(
    packed.filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts')),
    [],
    'no sources',
  )
  t.notOk(packed.includes('pack.js'))

  writeFileSync(join(app, 'app.ts'), `${code('js')}\nconst wrong: string = linkList(socket)[0]!.index\n`)
  const options = '--noEmit --ignoreConfig --strict --target esnext --lib esnext,dom --module nodenext'
  const readme = readFileSync(join(app, 'node_modules/netlink-ts/README.md'), 'utf8')
  writeFileSync(join(app, 'readme.ts'), /```ts\n(.*?)```/s.exec(readme)?.[1] ?? 'no example')
  const checked = spawn(app, 'tsc', ...options.split(' '), 'app.ts', 'readme.ts')
  t.match(
    checked.stdout,
    /^app\.ts\(7,7\): error TS2322[^\n]*\n$/,
    'the types are there and say number; the example of the README compiles',
  )
})
