import t from 'tap'
import { FailedAttempts } from '../../src/auth/attempts.js'

function create(options: { max?: number; maxAddresses?: number } = {}) {
  const clock = { now: 1_000_000 }
  const attempts = new FailedAttempts({
    max: 3,
    windowMs: 60_000,
    maxAddresses: 100,
    now: () => clock.now,
    ...options,
  })
  return { attempts, clock }
}

t.test('an address is blocked from its last allowed failure until its window ends', (t) => {
  const { attempts, clock } = create()
  attempts.failed('192.0.2.1')
  clock.now += 10_000
  attempts.failed('192.0.2.1')
  t.equal(attempts.isBlocked('192.0.2.1'), 0)
  attempts.failed('192.0.2.1')
  t.equal(attempts.isBlocked('192.0.2.1'), 50_000)
  t.equal(attempts.isBlocked('192.0.2.2'), 0, 'others are not')
  clock.now += 49_999
  t.equal(attempts.isBlocked('192.0.2.1'), 1)
  clock.now += 1
  t.equal(attempts.isBlocked('192.0.2.1'), 0)
  attempts.failed('192.0.2.1')
  t.equal(attempts.isBlocked('192.0.2.1'), 0, 'a new window counts from the start')
  t.end()
})

t.test('the addresses of an IPv6 /64 are one', (t) => {
  const { attempts } = create()
  for (const host of [1, 2, 3]) attempts.failed(`2001:db8::${host}`)
  t.equal(attempts.isBlocked('2001:db8::ffff'), 60_000)
  t.equal(attempts.isBlocked('2001:db8:0:1::1'), 0)
  t.end()
})

t.test('the addresses that are remembered are bounded, the oldest window goes first', (t) => {
  const { attempts, clock } = create({ max: 1, maxAddresses: 3 })
  for (const host of [1, 2, 3, 4]) {
    attempts.failed(`192.0.2.${host}`)
    clock.now++
  }
  t.equal(attempts.size, 3)
  t.equal(attempts.isBlocked('192.0.2.1'), 0)
  t.ok(attempts.isBlocked('192.0.2.2') > 0)
  t.ok(attempts.isBlocked('192.0.2.4') > 0)
  t.end()
})

t.test('a maximum of zero blocks nobody and remembers nothing', (t) => {
  const { attempts } = create({ max: 0 })
  for (let i = 0; i < 100; i++) attempts.failed('192.0.2.1')
  t.equal(attempts.isBlocked('192.0.2.1'), 0)
  t.equal(attempts.size, 0)
  t.end()
})

t.test('a clock that is set back does not block for longer', (t) => {
  const { attempts, clock } = create({ max: 1 })
  attempts.failed('192.0.2.1')
  clock.now -= 3_600_000
  t.equal(attempts.isBlocked('192.0.2.1'), 0)
  t.end()
})
