/** Sets up what the ingress bench measures: nginx as the container, and nginx and gateways as proxies before it. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** In 127.0.0.0/8, the gateways' supernet here: every namespace has it without any wiring. */
const CONTAINER = '127.1.0.10'
export const HOST = 'web.flatnet'

export interface Front {
  /** `nginx`, or the name of a gateway. */
  readonly name: string
  readonly port: number
  /** The process that does the work: nginx's worker, or the gateway. */
  readonly pid: number
}

export interface Stage {
  readonly proxies: readonly Front[]
  readonly direct: Front
  /** Runs a command in the namespace. @returns its stdout */
  run(command: string, ...args: string[]): Promise<string>
  close(): Promise<void>
}

const nginxConf = (folder: string, server: string): string => `
daemon off; worker_processes 1; pid ${folder}/nginx.pid; error_log ${folder}/error.log;
events { worker_connections 4096; }
http {
  access_log off; sendfile on; keepalive_timeout 65;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/f;
  uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  ${server}
}`

const CONTAINER_SERVER = (files: string): string => `server {
  listen ${CONTAINER}:80 backlog=1024; root ${files};
  location = /post { client_max_body_size 0; return 200 "ok\\n"; }
}`

/** nginx as its manual says: keepalive to the upstream, the usual headers, routing by name; other names get nothing. */
const PROXY_SERVER = (port: number): string => `
upstream container { server ${CONTAINER}:80; keepalive 64; }
server { listen 127.0.0.1:${port} backlog=1024 default_server; return 404; }
server {
  listen 127.0.0.1:${port}; server_name ${HOST};
  location / {
    proxy_pass http://container; proxy_http_version 1.1; proxy_set_header Connection "";
    proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $host;
  }
}`

/** @param gateways name → command line that runs a gateway, without its configuration */
export async function setUp(gateways: Readonly<Record<string, readonly string[]>>): Promise<Stage> {
  const netns = `fb-ingress-${process.pid}`
  const folder = mkdtempSync(join(tmpdir(), 'flatnet-ingress-'))
  const children: ChildProcess[] = []
  const start = (command: string, ...args: string[]): ChildProcess => {
    const child = spawn('ip', ['netns', 'exec', netns, command, ...args], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    children.push(child)
    return child
  }
  const close = async (): Promise<void> => {
    for (const child of children) child.kill('SIGTERM')
    const running = children.filter((c) => c.exitCode === null && c.signalCode === null)
    await Promise.all(running.map((c) => once(c, 'exit')))
    execFileSync('ip', ['netns', 'del', netns])
    rmSync(folder, { recursive: true, force: true })
  }
  execFileSync('ip', ['netns', 'add', netns])
  try {
    execFileSync('ip', ['-n', netns, 'link', 'set', 'lo', 'up'])
    const backend = await startNginx(folder, 'backend', CONTAINER_SERVER(files(folder)), start)
    const proxy = await startNginx(folder, 'proxy', PROXY_SERVER(8000), start)
    const proxies = [{ name: 'nginx', port: 8000, pid: proxy }]
    for (const [name, command] of Object.entries(gateways)) {
      const port = 8001 + proxies.length
      proxies.push({ name, port, pid: await startGateway(folder, name, command, port, start) })
    }
    return {
      proxies,
      direct: { name: 'no proxy', port: 80, pid: backend },
      run: (command, ...args) => runIn(netns, command, args),
      close,
    }
  } catch (err) {
    await close()
    throw err
  }
}

function files(folder: string): string {
  const root = join(folder, 'files')
  mkdirSync(root)
  // nginx's worker runs as another user.
  execFileSync('chmod', ['755', folder, root])
  writeFileSync(join(root, 'small'), `${'hello '.repeat(20)}\n`)
  writeFileSync(join(root, 'large'), Buffer.alloc(100 * 1024, 'flatnet '))
  writeFileSync(join(root, 'huge'), Buffer.alloc(64 * 1024 * 1024, 'flatnet '))
  return root
}

type Start = (command: string, ...args: string[]) => ChildProcess

/** @returns the pid of its only worker */
async function startNginx(folder: string, name: string, server: string, start: Start): Promise<number> {
  const own = join(folder, name)
  mkdirSync(own)
  writeFileSync(join(own, 'nginx.conf'), nginxConf(own, server))
  const { pid } = start('nginx', '-p', own, '-e', `${own}/error.log`, '-c', `${own}/nginx.conf`)
  const worker = await until(() => readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim())
  return Number(worker.split(' ')[0])
}

async function startGateway(
  folder: string,
  name: string,
  command: readonly string[],
  port: number,
  start: Start,
): Promise<number> {
  const own = join(folder, name)
  mkdirSync(own)
  const socketPath = join(own, 'gateway.sock')
  const conf = {
    hostId: 1,
    supernet: '127.0.0.0/8',
    hostPrefix: 16,
    dataDir: join(own, 'data'),
    api: { socket: socketPath },
    ingress: { listen: `127.0.0.1:${port}` },
    log: { file: join(own, 'log') },
    // The container has no lease, so a comparison would remove its registration.
    reconcileMs: 3_600_000,
  }
  writeFileSync(join(own, 'flatnet.yaml'), JSON.stringify(conf))
  const [program = '', ...args] = command
  const { pid } = start(program, ...args, 'gateway', '--config', join(own, 'flatnet.yaml'))
  await until(() => post(socketPath))
  return pid!
}

/** Registers the container, as the plugin does. */
function post(socketPath: string): Promise<string> {
  const body = JSON.stringify({
    network: 'bench',
    containerId: 'c0ffee',
    ifname: 'eth0',
    hostId: 1,
    ips: [`${CONTAINER}/16`],
    mac: '0a:64:7f:01:00:0a',
    name: HOST.split('.')[0],
    aliases: [],
    ports: [],
    httpPort: 80,
    createdAt: new Date().toISOString(),
  })
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
  return new Promise((resolve, reject) => {
    const req = request({ socketPath, method: 'POST', path: '/v1/assignments', headers, timeout: 2000 })
    req.on('error', reject)
    req.on('response', (res) => {
      res.resume()
      if (res.statusCode === 201) resolve('registered')
      else reject(new Error(`POST: ${res.statusCode}`))
    })
    req.end(body)
  })
}

/** Asks until the answer is neither an error nor empty, for 10 s at most. */
async function until(ask: () => string | Promise<string>): Promise<string> {
  for (let left = 100; ; left--) {
    try {
      const answer = await ask()
      if (answer !== '') return answer
    } catch (err) {
      if (left <= 0) throw err
    }
    if (left <= 0) throw new Error('nothing came up within 10 s')
    await sleep(100)
  }
}

async function runIn(netns: string, command: string, args: readonly string[]): Promise<string> {
  const child = spawn('ip', ['netns', 'exec', netns, command, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const closed = once(child, 'close')
  let text = ''
  for await (const chunk of child.stdout.setEncoding('utf8')) text += chunk
  const [code] = await closed
  if (code !== 0) throw new Error(`${command}: exit ${code}: ${text}`)
  return text
}
