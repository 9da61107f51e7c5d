import type { Writable } from 'node:stream'
import t from 'tap'
import * as ws from 'ws'
import { encodeFrame, encodeFrames, type Outgoing } from '../../src/connection/frame-codec.js'
import fc from '../helpers/properties.js'

// Exported by the library, missing in its types.
const { Receiver } = ws as unknown as { Receiver: new (options: object) => Writable }

/** What a WebSocket peer reads from these bytes. */
async function decode(bytes: Buffer): Promise<string[]> {
  const receiver = new Receiver({ isServer: false, maxPayload: 0 })
  const messages: string[] = []
  receiver.on('message', (data: Buffer, isBinary: boolean) => {
    if (isBinary) throw new Error('expected text')
    messages.push(data.toString())
  })
  await new Promise<void>((resolve, reject) => {
    receiver.on('error', reject)
    receiver.write(bytes, () => resolve())
  })
  return messages
}

t.test('frames of every header size arrive as they were', async (t) => {
  for (const length of [0, 1, 125, 126, 127, 65_535, 65_536, 100_000]) {
    const text = 'x'.repeat(length)
    t.same(await decode(encodeFrame(text)), [text], `${length} bytes`)
  }
})

t.test('a queue of texts and encoded frames becomes one buffer with all of them, in order', async (t) => {
  const text = fc.oneof(
    fc.string(),
    fc.string({ unit: 'grapheme' }),
    fc.string({ unit: 'binary' }).map((s) => Buffer.from(s).toString()),
  )
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(text, fc.boolean()), { minLength: 1, maxLength: 40 }),
      async (items) => {
        const queue: Outgoing[] = items.map(([text, encoded]) => (encoded ? encodeFrame(text) : text))
        const received = await decode(encodeFrames(queue))
        return JSON.stringify(received) === JSON.stringify(items.map(([text]) => text))
      },
    ),
    { numRuns: 100 },
  )
  t.pass()
})
