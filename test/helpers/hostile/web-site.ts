/** A host whose built gateway serves a container by HTTP and HTTPS, for attacks of clients and of containers. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { parse } from 'yaml'
import { type HostContainer, hostContainer } from '../cluster/host-container.ts'
import { hosts, type TestHost } from '../cluster/hosts.ts'
import { waitFor } from '../run/wait.ts'

/** What the container `web` runs on its port 3000, beside the busybox of every `hostContainer` on port 80. */
const SERVER = join(import.meta.dirname, 'web-server.ts')

export interface Got {
  readonly status: number
  /** With the status line, lines ended by LF. */
  readonly head: string
  readonly body: string
  readonly ms: number
}

export interface WebSite {
  readonly host: TestHost
  readonly web: HostContainer
  /** curl on the host, for 10 s at most; port 8080 and the container `web` unless `url` says otherwise. */
  get(url: string, ...options: string[]): Promise<Got>
}

/** @param ingress keys of the section in flatnet.yaml that differ from what `flatnet init` writes */
export async function webSite(t: Test, ingress: Readonly<Record<string, unknown>> = {}): Promise<WebSite> {
  const net = await hosts(t, 1)
  const host = net.host(1)
  await host.ok('init', '--cluster', 'testing', '--name', 'h1')
  const file = join(host.dir, 'flatnet.yaml')
  const conf = parse(readFileSync(file, 'utf8'))
  writeFileSync(file, JSON.stringify({ ...conf, ingress: { ...conf.ingress, ...ingress } }))
  await host.start()
  const web = await hostContainer(t, host, 'web')
  web.spawn(process.execPath, SERVER)
  const get = async (url: string, ...options: string[]): Promise<Got> => {
    const began = performance.now()
    const whole = url.startsWith('http') ? url : `http://127.0.0.1:8080${url}`
    const named = options.includes('-H') ? options : ['-H', 'Host: web-3000.x', ...options]
    const argv = ['curl', '-gsSik', '--http1.1', '--path-as-is', '-m', '10', ...named, whole]
    const { stdout } = await host.exec(argv)
    const [, head = '', body = ''] = /^([\s\S]*?)\r\n\r\n([\s\S]*)$/.exec(stdout) ?? []
    return {
      status: Number(head.split(' ')[1] ?? 0),
      head: head.replaceAll('\r\n', '\n'),
      body,
      ms: Math.round(performance.now() - began),
    }
  }
  await waitFor('web answers', 20_000, async () => (await get('/')).status === 200)
  return { host, web, get }
}
