import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import { Turns } from '../../src/sessions/turns.js'

/** Work that ends when the test says so. */
function work(log: string[], name: string) {
  let resolve!: (value: string) => void
  let reject!: (error: Error) => void
  const promise = new Promise<string>((res, rej) => {
    resolve = res
    reject = rej
  })
  const begin = () => {
    log.push(name)
    return promise
  }
  return { begin, resolve, reject }
}

t.test('work of one session takes turns in the order of the calls, others do not wait', async (t) => {
  const turns = new Turns()
  const log: string[] = []
  const [a1, a2, b1] = ['a1', 'a2', 'b1'].map((name) => work(log, name)) as [
    ReturnType<typeof work>,
    ReturnType<typeof work>,
    ReturnType<typeof work>,
  ]
  const first = turns.take('a', a1.begin)
  const second = turns.take('a', a2.begin)
  const other = turns.take('b', b1.begin)
  t.same(log, ['a1', 'b1'], 'the first begins at once')
  a1.resolve('A1')
  t.equal(await first, 'A1')
  await nextTurn()
  t.same(log, ['a1', 'b1', 'a2'])
  a2.resolve('A2')
  b1.resolve('B1')
  t.same(await Promise.all([second, other]), ['A2', 'B1'])
})

t.test('a failure reaches its caller alone, and nothing is kept of a session at rest', async (t) => {
  const turns = new Turns()
  t.equal(turns.end('a'), null)
  const failing = turns.take('a', () => Promise.reject(new Error('no')))
  const next = turns.take('a', async () => 'fine')
  const end = turns.end('a')!
  t.ok(turns.has('a'))
  await t.rejects(failing, { message: 'no' })
  t.equal(await next, 'fine')
  t.equal(await end, undefined)
  t.notOk(turns.has('a'))
  const lonely = turns.take('a', () => Promise.reject(new Error('no')))
  t.equal(await turns.end('a'), undefined, 'who waits for the end does not hear of the failure')
  await t.rejects(lonely)
})
