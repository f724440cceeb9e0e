/** gateway/dataplane/p2p/process/heard: the last probe and the last answer, by the wall clock. */
import t from 'tap'
import { Heard } from '../../../../../../gateway/dataplane/p2p/process/heard.ts'

t.test('each direction by itself', async (t) => {
  const heard = new Heard()
  t.same(heard.view(1_000, 50_000), { probes: 0 })
  heard.probe(1_200)
  heard.probe(1_400)
  t.same(heard.view(2_000, 51_000), { probes: 2, probeAt: 50_400 })
  heard.answer(1_900)
  t.same(heard.view(2_000, 51_000), { probes: 2, probeAt: 50_400, answerAt: 50_900 })
  t.same(heard.view(2_000, 100), { probes: 2, probeAt: 0, answerAt: 0 }, 'a clock that was set far back')
})
