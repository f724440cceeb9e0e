/** core/json.ts: which values are JSON objects. */
import t from 'tap'
import { isObject } from '../../../core/json.ts'

t.test('an object is neither a list nor null', async (t) => {
  t.same([{}, [], null, 'x', undefined].map(isObject), [true, false, false, false, false])
})
