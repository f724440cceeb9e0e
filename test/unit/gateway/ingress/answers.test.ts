/** Answers are counted by class of status. */

import t from 'tap'
import { Metrics } from '../../../../gateway/base/metrics.ts'
import { answerCounter } from '../../../../gateway/ingress/answers.ts'

t.test('one series a class', async (t) => {
  const metrics = new Metrics()
  const count = answerCounter(metrics)
  for (const status of [101, 200, 204, 404, 502, 999]) count(status)
  const lines = metrics.text().match(/^flatnet_ingress_responses_total\{.*$/gm)
  t.same(lines?.sort(), [
    'flatnet_ingress_responses_total{class="1xx"} 1',
    'flatnet_ingress_responses_total{class="2xx"} 2',
    'flatnet_ingress_responses_total{class="4xx"} 1',
    'flatnet_ingress_responses_total{class="5xx"} 1',
    'flatnet_ingress_responses_total{class="other"} 1',
  ])
})
