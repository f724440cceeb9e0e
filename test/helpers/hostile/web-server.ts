/** A container's server on port 3000: shows what reached it, holds answers back, and can be hostile itself. */
import { createServer, type ServerResponse } from 'node:http'

/** Answered when `/release` is asked for. */
const held: ServerResponse[] = []

const server = createServer((req, res) => {
  const { pathname } = new URL(req.url ?? '/', 'http://web')
  if (pathname === '/held') held.push(res)
  else if (pathname === '/release') {
    res.end(String(held.length))
    for (const one of held.splice(0)) one.end('held')
  } else if (pathname === '/body') req.resume().on('end', () => res.end('whole'))
  else res.end(JSON.stringify(req.headers))
})
server.on('upgrade', (_req, socket) => {
  socket.on('error', () => socket.destroy())
  socket.resume().on('end', () => socket.end())
  socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
})
server.listen(3_000)
