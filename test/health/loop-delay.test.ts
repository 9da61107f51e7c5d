import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { LoopDelay } from '../../src/health/loop-delay.js'
import { until } from '../helpers/until.js'

function block(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end; );
}

t.test('one long block among short turns is seen at once, told, and forgotten', async (t) => {
  const told: number[] = []
  const delay = new LoopDelay({ maxDelayMs: 250, windowMs: 100, onExceeded: (ms) => told.push(ms) })
  t.teardown(() => delay.close())
  delay.start()
  // The loop has to come round once before its delay can be known.
  await until(() => delay.worstMs > 0)
  block(600)
  await turn()
  await turn()
  t.ok(delay.worstMs >= 500)
  t.match(delay.health(), { status: 'failing', message: /blocked for \d+ ms, more than 250/ })
  await until(() => delay.health().status === 'ok')
  t.ok(told.some((ms) => ms >= 500))
  t.ok(delay.tell().max >= 0.5, 'metrics are told the longest since the last scrape, however long ago')
  t.ok(delay.tell().max < 0.5, 'once')
})

t.test('it is ok before it has started, and after it was closed, twice', async (t) => {
  const delay = new LoopDelay({ maxDelayMs: 250, windowMs: 100 })
  t.same(delay.health(), { status: 'ok' })
  t.same(delay.tell(), { p50: 0, p99: 0, max: 0 })
  delay.start()
  delay.close()
  delay.close()
  t.equal(delay.health().status, 'ok')
})
