import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { DeltaStream } from '../../src/lanes/delta-stream.js'

function collector(maxBytes = 1_000_000) {
  const sent: string[] = []
  return { sent, stream: new DeltaStream((text) => sent.push(text), maxBytes) }
}

t.test('the first piece of a turn goes out at once, those behind it together', async (t) => {
  const { sent, stream } = collector()
  for (const piece of ['a', 'b', 'c']) stream.push(piece)
  t.same(sent, ['a'])
  await turn()
  t.same(sent, ['a', 'bc'])
  stream.push('d')
  t.same(sent, ['a', 'bc', 'd'])
})

t.test('much in one turn goes out in pieces, and nothing is lost or out of order', async (t) => {
  const { sent, stream } = collector()
  const pieces = Array.from({ length: 50_000 }, (_, i) => `${i} `)
  for (const piece of pieces) stream.push(piece)
  t.ok(sent.length > 5 && sent.length < 50, `${sent.length} pieces`)
  stream.flush()
  t.equal(sent.join(''), pieces.join(''))
  await turn()
  t.equal(sent.join(''), pieces.join(''))
})

t.test('all pieces together are no longer than an answer may be, in bytes', async (t) => {
  const { sent, stream } = collector(10)
  stream.push('éééé')
  stream.push('ab')
  for (const piece of ['c', 'x'.repeat(1_000)])
    t.throws(() => stream.push(piece), { code: 'UNAVAILABLE', retryable: false })
  stream.flush()
  t.equal(sent.join(''), 'ééééab')
})
