/**
 * The log interface shared by plugin (JSON lines) and gateway (pino).
 *
 * Messages are past-tense events without values.
 */

/** The closed list of fields is docs/logging.md. */
export type LogFields = Readonly<Record<string, unknown>>

/** Same order of arguments as pino, so that a pino logger is a Log. */
export interface Log {
  debug(fields: LogFields, event: string): void
  info(fields: LogFields, event: string): void
  warn(fields: LogFields, event: string): void
  error(fields: LogFields, event: string): void
}

const nothing = (): void => {}

export const silentLog: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing }
