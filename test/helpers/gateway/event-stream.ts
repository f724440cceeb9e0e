/** Follows `GET /v1/events` of a gateway: each event with the moment at which it came. */
import { request } from 'node:http'
import type { Test } from 'tap'
import type { GatewayEvent } from '../../../gateway/base/events.ts'

export interface Seen {
  readonly event: GatewayEvent
  /** `performance.now()`. */
  readonly at: number
}

/** `event: assignmentAdded\ndata: {…}`; undefined for what begins or keeps up a stream. */
function eventIn(block: string): GatewayEvent | undefined {
  const [, type = ''] = /^event: (\w+)$/m.exec(block) ?? []
  const [, data = ''] = /^data: (.*)$/m.exec(block) ?? []
  return data === '' || type === 'hello' || type === 'reset' ? undefined : { type, ...JSON.parse(data) }
}

/** Resolves when the stream stands; a list that grows until the test ends or the gateway does. */
export function followEvents(
  t: Pick<Test, 'teardown'>,
  { socket }: { readonly socket: string },
  each: (seen: Seen) => void = () => {},
): Promise<readonly Seen[]> {
  const all: Seen[] = []
  return new Promise((resolve, reject) => {
    const req = request({ socketPath: socket, path: '/v1/events' }, (res) => {
      let text = ''
      res.setEncoding('utf8').on('data', (chunk: string) => {
        const at = performance.now()
        const blocks = (text + chunk).split('\n\n')
        text = blocks.pop() ?? ''
        for (const block of blocks) {
          if (block.includes('event: hello')) resolve(all)
          const event = eventIn(block)
          if (event === undefined) continue
          all.push({ event, at })
          each({ event, at })
        }
      })
      res.on('error', () => {})
    })
    req.on('error', reject)
    req.end()
    t.teardown(() => req.destroy())
  })
}
