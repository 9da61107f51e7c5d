import t from 'tap'
import { Breaker, type BreakerState } from '../../src/agents/breaker.js'
import { until } from '../helpers/until.js'

function breaker(limits: Partial<Breaker['limits']> = {}) {
  const changes: [BreakerState, BreakerState][] = []
  const one: Breaker = new Breaker({ failures: 3, openMs: 1, maxWaitMs: 1_000, ...limits }, (before) =>
    changes.push([before, one.state]),
  )
  return { one, changes }
}

t.test('opens after so many failures one after the other; a success begins anew', async (t) => {
  const { one, changes } = breaker({ openMs: 60_000 })
  for (let n = 0; n < 2; n++) one.failed()
  one.succeeded()
  for (let n = 0; n < 2; n++) one.failed()
  t.equal(one.state, 'closed')
  one.failed()
  t.equal(one.state, 'open')
  one.failed()
  t.same(changes, [['closed', 'open']])
  one.succeeded()
  t.equal(one.state, 'closed', 'whoever succeeds shows that the backend is there')
  one.close()
  one.close()
})

t.test('half open after a while, where one failure opens it again and one success closes it', async (t) => {
  const { one, changes } = breaker({ failures: 1 })
  one.failed()
  await until(() => one.state === 'half-open')
  one.failed()
  t.equal(one.state, 'open')
  await until(() => one.state === 'half-open')
  one.succeeded()
  t.same(changes, [
    ['closed', 'open'],
    ['open', 'half-open'],
    ['half-open', 'open'],
    ['open', 'half-open'],
    ['half-open', 'closed'],
  ])
  t.equal(one.failures, 0)
})
