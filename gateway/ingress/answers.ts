/** Counts the answers that clients of ingress get, by class of status. */

import { type Metrics, series } from '../base/metrics.ts'

const NAME = 'flatnet_ingress_responses_total'
const HELP = 'Answers to clients of ingress, by class of status'

// Made once: each request counts here.
const CLASSES = [0, 1, 2, 3, 4, 5].map((n) => series({ class: `${n}xx` }))
const OTHER = series({ class: 'other' })

export const answerCounter =
  (metrics: Metrics) =>
  (status: number): void =>
    metrics.count(NAME, HELP, CLASSES[Math.floor(status / 100)] ?? OTHER)
