import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { InOrder } from '../../src/connectors/in-order.js'

const deferred = () => {
  let resolve = () => {}
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}

t.test('a peer’s messages are handed over in their order, others do not wait for it', async (t) => {
  const order = new InOrder(10)
  const handed: string[] = []
  const slow = deferred()
  const hand = async (text: string) => void handed.push(text)
  const first = order.run('a', () => slow.promise.then(() => 'a1'), hand)
  const second = order.run('a', async () => 'a2', hand)
  await order.run('b', async () => 'b1', hand)
  t.strictSame(handed, ['b1'])
  slow.resolve()
  await Promise.all([first, second])
  t.strictSame(handed, ['b1', 'a1', 'a2'])
})

t.test('the next one waits for the call, not for what becomes of it', async (t) => {
  const order = new InOrder(10)
  const taken = deferred()
  const first = order.run(
    'a',
    async () => 1,
    () => taken.promise,
  )
  t.equal(
    await order.run(
      'a',
      async () => 2,
      async (n) => n,
    ),
    2,
  )
  taken.resolve()
  await first
})

t.test('one that fails holds up none after it', async (t) => {
  const order = new InOrder(10)
  const fail = async () => {
    throw new Error('no')
  }
  const unprepared = order.run('a', fail, async () => {})
  const untaken = order.run('a', async () => 1, fail)
  const fine = order.run(
    'a',
    async () => 2,
    async (n) => n,
  )
  await t.rejects(unprepared, /no/)
  await t.rejects(untaken, /no/)
  t.equal(await fine, 2)
})

t.test('it is bounded', async (t) => {
  const order = new InOrder(1)
  const taken = deferred()
  const first = order.run(
    'a',
    async () => {},
    () => taken.promise,
  )
  await setImmediate()
  await t.rejects(
    order.run(
      'b',
      async () => {},
      async () => {},
    ),
    { code: 'UNAVAILABLE', retryable: true },
  )
  taken.resolve()
  await first
  await order.run(
    'b',
    async () => {},
    async () => {},
  )
})
