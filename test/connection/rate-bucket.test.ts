import t from 'tap'
import { RateBucket } from '../../src/connection/rate-bucket.js'
import fc from '../helpers/properties.js'

const NOW = 1_700_000_000_000

t.test('exactly the maximum fits in at once, then it refills evenly', (t) => {
  const bucket = new RateBucket(50_000, 1_000)
  for (let i = 0; i < 50_000; i++) if (bucket.take(NOW) !== 0) t.fail(`refused number ${i}`)
  t.equal(bucket.take(NOW), 1)
  for (let i = 0; i < 50; i++) if (bucket.take(NOW + 1) !== 0) t.fail(`refused refilled number ${i}`)
  t.equal(bucket.take(NOW + 1), 1)
  t.end()
})

t.test('a maximum of zero is no limit', (t) => {
  const bucket = new RateBucket(0, 1_000)
  for (let i = 0; i < 1_000; i++) t.equal(bucket.take(NOW), 0)
  t.end()
})

t.test('a clock that is set back refills nothing and blocks nothing for longer', (t) => {
  const bucket = new RateBucket(2, 1_000)
  t.equal(bucket.take(NOW), 0)
  t.equal(bucket.take(NOW - 3_600_000), 0)
  t.equal(bucket.take(NOW - 3_600_000), 500)
  t.equal(bucket.take(NOW - 3_600_000 + 500), 0)
  t.end()
})

t.test('whoever waits as told gets one, and no window lets more than twice the maximum through', (t) => {
  const steps = fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 300 })
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 1, max: 200 }),
      steps,
      (max, windowMs, waits) => {
        const bucket = new RateBucket(max, windowMs)
        const taken: number[] = []
        let now = NOW
        for (const wait of waits) {
          now += wait
          const retryAfterMs = bucket.take(now)
          if (retryAfterMs > 0) {
            now += retryAfterMs
            if (bucket.take(now) !== 0) return false
          }
          taken.push(now)
        }
        return taken.every(
          (start) => taken.filter((at) => at >= start && at < start + windowMs).length <= 2 * max,
        )
      },
    ),
    { numRuns: 100 },
  )
  t.end()
})
