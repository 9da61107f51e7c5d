import t from 'tap'
import { createSteadyClock } from '../../src/journal/steady-clock.js'

function create() {
  const clocks = { wall: 1_000_000, monotonic: 500.5 }
  const now = createSteadyClock({
    believeAfterMs: 10_000,
    wall: () => clocks.wall,
    monotonic: () => clocks.monotonic,
  })
  const pass = (ms: number) => {
    clocks.wall += ms
    clocks.monotonic += ms
  }
  return { clocks, now, pass }
}

t.test('goes with the clock of the day while that is not set', async (t) => {
  const { clocks, now, pass } = create()
  t.equal(now(), 1_000_000)
  pass(60_000)
  t.equal(now(), 1_060_000)
  clocks.wall += 300
  t.equal(now(), 1_060_300, 'slewed, it follows')
})

t.test('leaves out a jump, and believes in one that has lasted', async (t) => {
  for (const jump of [50_000_000, -500_000]) {
    const { clocks, now, pass } = create()
    clocks.wall += jump
    t.equal(now(), 1_000_000)
    pass(9_999)
    t.equal(now(), 1_009_999)
    pass(1)
    t.equal(now(), 1_010_000 + jump)
  }
})

t.test('forgets a jump that was taken back', async (t) => {
  const { clocks, now, pass } = create()
  clocks.wall += 50_000_000
  now()
  pass(9_000)
  clocks.wall -= 50_000_000
  t.equal(now(), 1_009_000)
  pass(60_000)
  t.equal(now(), 1_069_000)
  clocks.wall += 50_000_000
  t.equal(now(), 1_069_000, 'and counts another one anew')
})
