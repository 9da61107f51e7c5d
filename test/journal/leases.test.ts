import t from 'tap'
import { Leases } from '../../src/journal/leases.js'

t.test('only the newest lease of a session is current', async (t) => {
  const leases = new Leases()
  const first = leases.grant('a')
  const other = leases.grant('b')
  t.ok(leases.isCurrent(first))
  const second = leases.grant('a')
  t.notOk(leases.isCurrent(first))
  t.ok(leases.isCurrent(second))
  t.ok(leases.isCurrent(other))
  t.notOk(new Leases().isCurrent(second))
})

t.test('remembers a bounded number of sessions, the newest ones', async (t) => {
  const leases = new Leases()
  const stale = leases.grant('last')
  const newest = leases.grant('last')
  for (let n = 0; n < 199_999; n++) leases.grant(`${n}`)
  t.notOk(leases.isCurrent(stale))
  leases.grant('one more')
  t.ok(leases.isCurrent(newest))
  t.ok(leases.isCurrent(stale))
})
