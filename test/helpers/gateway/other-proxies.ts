/** nginx and Caddy in front of one container, for comparison: each on loopback, with its files in a scratch folder. */

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { freePort } from '../run/free-port.ts'

export type OtherProxy = 'nginx' | 'caddy'

const NGINX = (folder: string, port: number, to: string): string => `
daemon off; user root; worker_processes 1; pid ${folder}/pid; error_log ${folder}/log;
events {}
http {
  access_log off; client_max_body_size 0;
  client_body_temp_path ${folder}/b; proxy_temp_path ${folder}/p; fastcgi_temp_path ${folder}/f;
  uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  map $http_upgrade $way { default upgrade; '' close; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://${to}; proxy_http_version 1.1; proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $way;
    }
  }
}`

const CADDY = (port: number, to: string): string => `
{
  admin off
  auto_https off
}
http://:${port} {
  bind 127.0.0.1
  reverse_proxy ${to} {
    transport http {
      keepalive off
    }
  }
}
`

export const isInstalled = (proxy: OtherProxy): boolean => {
  try {
    execFileSync('sh', ['-c', `PATH="$PATH:/usr/sbin" command -v ${proxy}`])
    return true
  } catch {
    return false
  }
}

/** @param to `127.1.0.10:80` @returns its port */
export async function startProxy(
  t: Pick<Test, 'teardown'>,
  proxy: OtherProxy,
  folder: string,
  to: string,
): Promise<number> {
  const port = await freePort()
  const conf = join(folder, `${proxy}.conf`)
  writeFileSync(conf, proxy === 'nginx' ? NGINX(folder, port, to) : CADDY(port, to))
  const args =
    proxy === 'nginx'
      ? ['-e', `${folder}/log`, '-c', conf]
      : ['run', '--adapter', 'caddyfile', '--config', conf]
  const child = spawn(proxy, args, {
    stdio: 'ignore',
    env: { HOME: folder, PATH: `${process.env['PATH']}:/usr/sbin` },
  })
  t.teardown(() => child.kill('SIGKILL'))
  const endAt = performance.now() + 30_000
  while (!(await accepts(port))) {
    if (child.exitCode !== null || performance.now() > endAt) throw new Error(`${proxy} does not listen`)
    await sleep(20)
  }
  return port
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
