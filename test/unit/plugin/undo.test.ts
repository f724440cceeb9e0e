/** plugin/undo.ts: newest first, past failures, once (docs/architecture/plugin.md#order). */
import t from 'tap'
import { silentLog } from '../../../core/log.ts'
import { Undo } from '../../../plugin/undo.ts'

t.test('inverses run newest first and only once', async (t) => {
  const undo = new Undo()
  const ran: string[] = []
  for (const step of ['lease', 'bridge', 'veth']) undo.push(step, () => void ran.push(step))
  t.same(undo.rollback(silentLog), [])
  t.same(ran, ['veth', 'bridge', 'lease'])
  undo.rollback(silentLog)
  t.equal(ran.length, 3)
})

t.test(
  'an inverse that fails stops none of the others; each failure names its step and keeps its cause',
  async (t) => {
    const undo = new Undo()
    const ran: string[] = []
    const cause = new Error('busy')
    undo.push('first', () => void ran.push('first'))
    undo.push('second', () => {
      throw cause
    })
    undo.push('third', () => {
      throw new Error('gone')
    })
    const logged: unknown[] = []
    const failed = undo.rollback({ ...silentLog, warn: (fields) => void logged.push(fields['step']) })
    t.same(ran, ['first'])
    t.same(
      failed.map((err) => err.message),
      ['undo of third', 'undo of second'],
    )
    t.equal(failed[1]?.cause, cause)
    t.same(logged, ['third', 'second'])
  },
)
