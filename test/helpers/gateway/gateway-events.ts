/** A reader of `GET /v1/events`. */
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'

/** @param lastId of the last event that the reader saw before it reconnects */
export async function followEvents(socketPath: string, lastId?: string) {
  const headers = lastId === undefined ? {} : { 'last-event-id': lastId }
  const req = request({ socketPath, path: '/v1/events', headers }).end()
  req.on('error', () => {})
  const [res] = (await once(req, 'response')) as [IncomingMessage]
  let text = ''
  res.setEncoding('utf8').on('data', (c) => {
    text += c
  })
  res.on('error', () => {})
  const events = () =>
    [...text.matchAll(/id: (.+)\nevent: (.+)\ndata: (.+)\n\n/g)].map(([, id, type, data]) => ({
      id,
      type,
      data: JSON.parse(data!),
    }))
  return { res, events, close: () => req.destroy() }
}
