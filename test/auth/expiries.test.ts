import { EventEmitter, once } from 'node:events'
import t from 'tap'
import { Expiries } from '../../src/auth/expiries.js'

function create() {
  const clock = { now: 1_000 }
  const expired: string[][] = []
  const told = new EventEmitter()
  const expiries = new Expiries<string>(
    (items) => {
      expired.push(items)
      told.emit('expired')
    },
    () => clock.now,
  )
  return { clock, expired, told, expiries }
}

t.test('what is over is told once, by the clock', (t) => {
  const { clock, expired, expiries } = create()
  t.teardown(() => expiries.close())
  expiries.set('a', 2_000)
  expiries.set('b', 3_000)
  expiries.set('c', 3_000)
  expiries.delete('c')
  expiries.check()
  t.strictSame(expired, [])
  clock.now = 2_000
  expiries.check()
  expiries.check()
  t.strictSame(expired, [['a']])
  expiries.set('b', 9_000)
  clock.now = 3_000
  expiries.check()
  t.strictSame(expired, [['a']], 'set anew')
  clock.now = 900_000
  expiries.check()
  t.strictSame(expired, [['a'], ['b']], 'a clock that jumps')
  t.equal(expiries.size, 0)
  t.end()
})

t.test('its timer wakes for the earliest, also one that is over already', async (t) => {
  const { expired, told, expiries } = create()
  t.teardown(() => expiries.close())
  // The timer does not keep a process alive.
  const alive = setInterval(() => {}, 1_000)
  t.teardown(() => clearInterval(alive))
  expiries.set('late', 1_000_000)
  const first = once(told, 'expired')
  expiries.set('over', 500)
  await first
  t.strictSame(expired, [['over']])
  expiries.close()
  expiries.close()
})
