import t from 'tap'
import { Closing } from '../../src/lifecycle/closing.js'
import { captureLog } from '../helpers/log.js'

const HOUR_MS = 3_600_000
const hang = () => new Promise(() => {})

t.test('steps are waited for, and a failing one is logged and is no failure of the whole', async (t) => {
  const { logger, lines } = captureLog()
  const closing = new Closing({ timeoutMs: HOUR_MS, log: logger })
  const order: string[] = []
  await closing.step('first', async () => {
    await new Promise((resolve) => setImmediate(resolve))
    t.same(closing.unfinished, ['first'])
    order.push('first')
  })
  await closing.step('throws', () => {
    throw new Error('at once')
  })
  await closing.step('rejects', async () => {
    throw new Error('later')
  })
  await closing.step('last', () => order.push('last'))
  t.same(order, ['first', 'last'])
  t.same(closing.unfinished, [])
  t.match(lines, [{ step: 'throws' }, { step: 'rejects' }])
})

t.test(
  'what hangs is left behind by the end of its share, and named; the next ones have their turn',
  async (t) => {
    const { logger, lines } = captureLog()
    const closing = new Closing({ timeoutMs: 50, log: logger })
    let release = () => {}
    await closing.step('hangs', hang, 0.5)
    await closing.step('late', () => new Promise<void>((resolve) => (release = resolve)), 0.5)
    let ran = false
    await closing.step('journal', () => {
      ran = true
    })
    t.ok(ran)
    t.same(closing.unfinished, ['hangs', 'late'])
    t.match(lines, [
      { step: 'hangs', msg: /hangs/ },
      { step: 'late', msg: /hangs/ },
    ])
    release()
    await new Promise((resolve) => setImmediate(resolve))
    t.same(closing.unfinished, ['hangs'], 'one that ends after all is not named any more')
  },
)
