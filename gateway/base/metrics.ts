/**
 * Counters and gauges in the text format of Prometheus, without a library.
 *
 * Names are fixed and label values few.
 */

import { monitorEventLoopDelay } from 'node:perf_hooks'

type Labels = Readonly<Record<string, string>>

interface Counter {
  readonly help: string
  readonly values: Map<string, number>
}

/** Series of one counter. A label value beyond them counts as `other`, so strangers cannot fill the memory. */
const MAX_SERIES = 64

export interface Gauge {
  readonly name: string
  readonly help: string
  read(): Iterable<readonly [Labels, number]>
}

const escapeLabel = (text: string): string =>
  text.replaceAll(/[\\"\n]/g, (c) => (c === '\n' ? '\\n' : `\\${c}`))

/** Labels as they are written. A caller that counts often makes the text once. */
export const series = (labels: Labels): string => {
  const pairs = Object.entries(labels).map(([k, v]) => `${k}="${escapeLabel(v)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

export class Metrics {
  readonly #counters = new Map<string, Counter>()
  readonly #gauges: Gauge[] = []

  /**
   * Counts. A counter appears in the metrics with its first increment.
   * @param labels or their `series`
   */
  count(name: string, help: string, labels: Labels | string = {}, by = 1): void {
    let counter = this.#counters.get(name)
    if (counter === undefined) {
      counter = { help, values: new Map() }
      this.#counters.set(name, counter)
    }
    const key = typeof labels === 'string' ? labels : series(labels)
    const known = counter.values.get(key)
    const to = known === undefined && counter.values.size >= MAX_SERIES ? '{other="true"}' : key
    counter.values.set(to, (counter.values.get(to) ?? 0) + by)
  }

  gauge(name: string, help: string, read: () => number): void {
    this.#gauges.push({ name, help, read: () => [[{}, read()]] })
  }

  /** One series for each element; the caller bounds their number. */
  gaugeEach(name: string, help: string, read: () => Iterable<readonly [Labels, number]>): void {
    this.#gauges.push({ name, help, read })
  }

  text(): string {
    const lines: string[] = []
    for (const [name, { help, values }] of this.#counters) {
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} counter`)
      for (const [labels, value] of values) lines.push(`${name}${labels} ${value}`)
    }
    for (const { name, help, read } of this.#gauges) {
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} gauge`)
      for (const [labels, value] of read()) lines.push(`${name}${series(labels)} ${value}`)
    }
    return `${lines.join('\n')}\n`
  }
}

/** The gauges of the process itself. @returns how to stop measuring */
export function processGauges(metrics: Metrics): () => void {
  // 50 ms: a lag that a person notices is longer, and the timer costs nothing measurable at 20 per second.
  const delay = monitorEventLoopDelay({ resolution: 50 })
  delay.enable()
  metrics.gauge('flatnet_event_loop_lag_seconds', '99th percentile since the last reading', () => {
    const lag = Math.max(0, delay.percentile(99) / 1e9 - 0.05)
    delay.reset()
    return Math.round(lag * 1e6) / 1e6
  })
  metrics.gauge('process_resident_memory_bytes', 'Resident memory', () => process.memoryUsage.rss())
  metrics.gauge('nodejs_heap_used_bytes', 'JavaScript heap in use', () => process.memoryUsage().heapUsed)
  metrics.gauge('process_uptime_seconds', 'Since the start', () => Math.round(process.uptime()))
  return () => delay.disable()
}
