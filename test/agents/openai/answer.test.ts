import t from 'tap'
import { readAnswer } from '../../../src/agents/openai/answer.js'
import { failure } from '../../../src/agents/openai/failures.js'
import { createTestRun } from '../../../src/testing/agent-suite.js'
import { chunk, sse } from '../../helpers/aimock.js'
import fc from '../../helpers/properties.js'

function read(pieces: Uint8Array[]) {
  const deltas: string[] = []
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const piece of pieces) controller.enqueue(piece)
      controller.close()
    },
  })
  const options = {
    maxBytes: 1_000_000,
    onBytes: () => {},
    onReport: () => {},
    onDone: () => {},
    onDelta: (text: string) => void deltas.push(text),
  }
  return readAnswer(body, options).then((answer) => ({ ...answer, deltas }))
}

/** The bytes, cut at these places. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const sorted = [0, ...places.map((place) => place % (bytes.length + 1)), bytes.length].sort((a, b) => a - b)
  return sorted.slice(1).map((end, index) => bytes.subarray(sorted[index], end))
}

const texts = fc.array(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 6 }), { maxLength: 8 })
const lineBreaks = fc.constantFrom('\n', '\r\n')

t.test('however the bytes are split, even inside a character, the answer is the same', async () => {
  await fc.assert(
    fc.asyncProperty(
      texts,
      lineBreaks,
      fc.array(fc.nat(), { maxLength: 30 }),
      async (deltas, lineBreak, places) => {
        const usage = { total_tokens: deltas.length }
        const stream = sse(...deltas.map((text) => chunk(text)), chunk(null, 'stop'), { usage }, '[DONE]')
        const bytes = new TextEncoder().encode(stream.replaceAll('\n', lineBreak))
        const answer = await read(cut(bytes, places))
        const expected = { content: deltas.join(''), finishReason: 'stop', usage, deltas }
        t.strictSame(answer, expected)
      },
    ),
    { numRuns: 200 },
  )
})

t.test('byte by byte, too', async (t) => {
  const bytes = new TextEncoder().encode(sse(chunk('für 你 👩‍👩‍👧'), chunk(null, 'stop'), '[DONE]'))
  t.match(await read(cut(bytes, [...bytes.keys()])), { content: 'für 你 👩‍👩‍👧' })
})

t.test('a byte order mark at the start does no harm', async (t) => {
  t.match(await read([new TextEncoder().encode(`\uFEFF${sse(chunk('a', 'stop'))}`)]), { content: 'a' })
})

t.test('whatever bytes come, it ends in an answer or in an error for the lane', async (t) => {
  const { log } = createTestRun().context
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.oneof(
          fc.uint8Array({ maxLength: 40 }),
          fc.string().map((text) => new TextEncoder().encode(`data: ${text}\n\n`)),
        ),
        { maxLength: 6 },
      ),
      async (pieces) => {
        const error = await read(pieces).then(
          () => undefined,
          (error) => error,
        )
        if (error !== undefined)
          t.match(failure(error, { who: 'model provider', secrets: [], log }), {
            code: 'UNAVAILABLE',
            cause: undefined,
          })
      },
    ),
    { numRuns: 100 },
  )
})
