import t from 'tap'
import { soak } from '../../benchmarks/soak/soak.js'

t.test(
  'under mixed traffic nothing is lost, nothing comes twice and nothing grows without bound',
  async (t) => {
    const { samples, findings } = await soak({ seconds: 15, everySeconds: 1, perSecond: 100 })
    t.same(findings, [])
    t.ok(samples.at(-1)!.ended > 0, 'messages were answered')
  },
)
