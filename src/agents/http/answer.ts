import { EventSourceParserStream } from 'eventsource-parser/stream'
import type { JsonObject } from '../../protocol/index.js'
import type { AgentReply, RunContext } from '../agent.js'
import { brokenOff } from '../backend/failures.js'
import { meter } from '../backend/meter.js'
import { LineStream } from './lines.js'
import { MalformedAnswer, parseJson, parseMessage, ReceiverError, wholeAnswer } from './messages.js'

/** How it is called in messages. */
export const WHO = 'receiver'

export interface AnswerOptions {
  readonly maxBytes: number
  readonly run: Pick<RunContext, 'delta' | 'report' | 'signal'>
  /** Called until `onDone`. */
  readonly onBytes: () => void
  /** The answer is whole: what is left is the end of the body, after which the connection can serve again. */
  readonly onDone: () => void
}

const READERS: Readonly<
  Record<string, (body: ReadableStream<Uint8Array>, options: AnswerOptions) => Promise<AgentReply>>
> = {
  'application/json': readJson,
  'text/plain': async (body, options) => ({ content: await readText(body, options) }),
  'application/x-ndjson': (body, options) =>
    readStream(decoded(body, options).pipeThrough(new LineStream()), options),
  'text/event-stream': (body, options) =>
    readStream(
      decoded(body, options)
        .pipeThrough(new EventSourceParserStream())
        .pipeThrough(new TransformStream({ transform: ({ data }, controller) => controller.enqueue(data) })),
      options,
    ),
}

export const ACCEPT = Object.keys(READERS).join(', ')

/**
 * The receiver's answer; undefined: this is none.
 *
 * @throws GatewayError `UNAVAILABLE` where it is too long or breaks off; ReceiverError, MalformedAnswer
 */
export async function readAnswer(
  response: Response,
  options: AnswerOptions,
): Promise<AgentReply | undefined> {
  const { ok, status, body, headers } = response
  if (status === 204) return { content: '' }
  const [type = ''] = (headers.get('content-type') ?? '').split(';')
  const name = type.trim().toLowerCase()
  if (!ok || body === null || !Object.hasOwn(READERS, name)) return undefined
  return await READERS[name]!(body, options)
}

function decoded(
  body: ReadableStream<Uint8Array>,
  { maxBytes, onBytes }: AnswerOptions,
): ReadableStream<string> {
  return body.pipeThrough(meter(maxBytes, onBytes, WHO)).pipeThrough(new TextDecoderStream())
}

async function readText(body: ReadableStream<Uint8Array>, options: AnswerOptions): Promise<string> {
  let text = ''
  for await (const piece of decoded(body, options)) text += piece
  return text
}

async function readJson(body: ReadableStream<Uint8Array>, options: AnswerOptions): Promise<AgentReply> {
  const text = await readText(body, options)
  const value = parseJson(text)
  if (!wholeAnswer.Check(value)) throw new MalformedAnswer(text)
  const { content, metadata, usage } = value
  return { content, metadata, usage }
}

/** A stream that ends without `final` may have lost its end anywhere on the way: it is no answer. */
async function readStream(messages: ReadableStream<string>, options: AnswerOptions): Promise<AgentReply> {
  let said = ''
  let usage: JsonObject | undefined
  let reply: AgentReply | undefined
  try {
    for await (const text of messages) {
      if (reply !== undefined || text.trim() === '') continue
      const message = parseMessage(text)
      switch (message?.type) {
        case 'delta':
          said += message.text
          if (!options.run.signal.aborted) options.run.delta(message.text)
          break
        case 'tool':
        case 'reasoning':
          options.run.report(message)
          break
        case 'usage':
          usage = message.usage
          break
        case 'error':
          throw new ReceiverError(message)
        case 'final':
          reply = {
            content: message.content ?? said,
            metadata: message.metadata,
            usage: message.usage ?? usage,
          }
          options.onDone()
      }
    }
  } catch (error) {
    if (reply === undefined) throw error
  }
  if (reply === undefined) throw brokenOff(WHO)
  return reply
}
