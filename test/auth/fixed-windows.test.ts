import t from 'tap'
import { FixedWindows } from '../../src/auth/fixed-windows.js'

function create(cache = 100) {
  const clock = { now: 1_000 }
  const windows = new FixedWindows({}, () => clock.now).child({ cache })
  const count = (key: string) => {
    let result: { current: number; ttl: number } | undefined
    windows.incr(
      key,
      (_error, counted) => {
        result = counted
      },
      60_000,
    )
    return result
  }
  return { clock, count }
}

t.test('a key is counted until its window ends, others on their own', async (t) => {
  const { clock, count } = create()
  t.same(count('a'), { current: 1, ttl: 60_000 })
  clock.now += 59_999.5
  t.same(count('a'), { current: 2, ttl: 1 })
  t.same(count('b'), { current: 1, ttl: 60_000 })
  clock.now += 0.5
  t.same(count('a'), { current: 1, ttl: 60_000 })
})

t.test('the keys are bounded, the one whose window began first goes first', async (t) => {
  const { count } = create(2)
  for (const key of ['a', 'a', 'b', 'c']) count(key)
  t.equal(count('c')?.current, 2)
  t.equal(count('a')?.current, 1)
})
