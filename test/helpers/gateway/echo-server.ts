/** To be run in a container: sends back bodies and WebSocket messages; the port is the argument. */
import { createServer } from 'node:http'
import { WebSocketServer } from 'ws'

const server = createServer((req, res) => {
  res.setHeader('x-seen', `${req.method} ${req.headers['x-flatnet-via']}`)
  req.pipe(res)
})
new WebSocketServer({ server }).on('connection', (ws) =>
  ws.on('message', (data, binary) => ws.send(data, { binary })),
)
server.listen(Number(process.argv[2]))
