/** What the metrics say of the paths: how many there are in each state and by each way. */

import type { Metrics } from '../base/metrics.ts'
import type { PathTable } from './table.ts'

export function pathGauges(metrics: Metrics, paths: PathTable): void {
  metrics.gaugeEach('flatnet_paths', 'Paths by state and way', () => {
    const counts = new Map<string, number>()
    for (const { state, via } of paths.all()) {
      const key = `${state} ${via.split(':')[0]}`
      counts.set(key, (counts.get(key) ?? 0) + 1)
    }
    return [...counts].map(([key, n]) => {
      const [state = '', via = ''] = key.split(' ')
      return [{ state, via }, n]
    })
  })
}
