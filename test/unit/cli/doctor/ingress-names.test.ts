/** Doctor's judge of the names under which browsers reach containers. */
import t from 'tap'
import { judgeNames } from '../../../../cli/doctor/ingress-names.ts'

t.test('any name, some names, no ingress', async (t) => {
  t.match(judgeNames({ enabled: true, domains: [] }), [
    { state: 'ok', what: /DNS rebinding.*ingress\.domains/ },
  ])
  t.match(judgeNames({ enabled: true, domains: ['*.corp.example', 'gate.corp.example'] }), [
    { state: 'ok', what: /under \*\.corp\.example, gate\.corp\.example$/ },
  ])
  t.same(judgeNames({ enabled: false, domains: [] }), [])
  t.same(judgeNames(undefined), [])
})
