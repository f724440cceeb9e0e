/** Logs through the gateway while one is connected, so that no line appears twice. */
import type { Log, LogFields } from '../../../../core/log.ts'
import type { FromProcess } from '../protocol.ts'

type Level = Extract<FromProcess, { type: 'log' }>['level']

interface Gateway {
  readonly isConnected: boolean
  send(message: FromProcess): void
}

/** @param gateway undefined while the process is being put together */
export function gatewayLog(own: Log, gateway: () => Gateway | undefined): Log {
  const to = (level: Level) => (fields: LogFields, msg: string) => {
    const connected = gateway()
    if (connected?.isConnected) connected.send({ type: 'log', level, msg, fields: plain(fields) })
    else own[level](fields, msg)
  }
  return { debug: to('debug'), info: to('info'), warn: to('warn'), error: to('error') }
}

/** Turns an error into text: JSON would lose it. */
const plain = (fields: LogFields): LogFields =>
  fields['err'] instanceof Error ? { ...fields, err: fields['err'].message } : fields
