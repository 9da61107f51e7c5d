import t from 'tap'
import { backoffMs } from '../../src/client/backoff.js'
import fc from '../helpers/properties.js'

t.test('the wait doubles up to its bound', async (t) => {
  const policy = { minMs: 100, maxMs: 1000, jitter: 0 }
  t.same(
    [1, 2, 3, 4, 5, 1000].map((attempt) => backoffMs(policy, attempt)),
    [100, 200, 400, 800, 1000, 1000],
  )
})

t.test('jitter only shortens the wait, and by no more than its share', async () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 100 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (attempt, jitter, random) => {
        const full = backoffMs({ minMs: 100, maxMs: 30_000, jitter: 0 }, attempt)
        const wait = backoffMs({ minMs: 100, maxMs: 30_000, jitter }, attempt, () => random)
        return wait <= full && wait >= Math.floor(full * (1 - jitter))
      },
    ),
  )
})
