import { type Static, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { EventSourceParserStream } from 'eventsource-parser/stream'
import { type AgentReport, JsonObject } from '../../protocol/index.js'
import { brokenOff } from '../backend/failures.js'
import { meter } from '../backend/meter.js'
import { reasoningOf, ToolCalls } from './extras.js'

/** How it is called in messages. */
export const WHO = 'model provider'

const optional = <T extends Parameters<typeof Type.Optional>[0]>(schema: T) =>
  Type.Optional(Type.Union([schema, Type.Null()]))

/** The part of a `chat.completion.chunk` that is read here; endpoints add much and leave out much. */
const Chunk = Type.Object({
  choices: optional(
    Type.Array(
      Type.Object({
        index: optional(Type.Integer()),
        delta: optional(Type.Object({ content: optional(Type.String()) })),
        finish_reason: optional(Type.String()),
      }),
    ),
  ),
  usage: optional(JsonObject),
  error: Type.Optional(Type.Unknown()),
})
type Chunk = Static<typeof Chunk>
const chunkCheck = TypeCompiler.Compile(Chunk)

export interface Answer {
  content: string
  /** `stop`, `length`, `content_filter` …; null: the endpoint gave none. */
  finishReason: string | null
  usage: JsonObject | undefined
}

export interface AnswerOptions {
  /** Bytes of the body. */
  readonly maxBytes: number
  /** Called until `onDone`. */
  readonly onBytes: () => void
  readonly onDelta: (text: string) => void
  readonly onReport: (report: AgentReport) => void
  /** `[DONE]`: what is left is the end of the body, after which the connection can serve again. */
  readonly onDone: () => void
}

/** An error that the endpoint put into its stream instead of the rest of the answer. */
export class StreamedError extends Error {
  readonly body: unknown

  constructor(body: unknown) {
    super('the stream carries an error')
    this.body = body
  }
}

/** What the endpoint put into its stream is no `chat.completion.chunk`. */
export class MalformedChunk extends Error {
  readonly data: string

  constructor(data: string) {
    super('the stream carries something else than a chunk')
    this.data = data
  }
}

/**
 * Reads a streamed chat completion to its end. Once it is done, or the endpoint gave a finish reason, the answer is whole,
 * whatever becomes of the rest of the stream.
 *
 * @throws GatewayError `UNAVAILABLE` where the stream is too long or breaks off
 * @throws StreamedError, MalformedChunk
 */
export async function readAnswer(body: ReadableStream<Uint8Array>, options: AnswerOptions): Promise<Answer> {
  const answer: Answer = { content: '', finishReason: null, usage: undefined }
  const calls = new ToolCalls()
  let done = false
  const onBytes = () => {
    if (!done) options.onBytes()
  }
  try {
    const events = body
      .pipeThrough(meter(options.maxBytes, onBytes, WHO))
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(new EventSourceParserStream())
    for await (const { data } of events) {
      if (done) continue
      done = data === '[DONE]'
      if (done) options.onDone()
      else take(answer, parseChunk(data), calls, options)
    }
  } catch (error) {
    if (!done && answer.finishReason === null) throw error
  }
  if (!done && answer.finishReason === null) throw brokenOff(WHO)
  for (const report of calls.reports()) options.onReport(report)
  return answer
}

function parseChunk(data: string): Chunk {
  let chunk: unknown
  try {
    chunk = JSON.parse(data)
  } catch {
    throw new MalformedChunk(data)
  }
  if (!chunkCheck.Check(chunk)) throw new MalformedChunk(data)
  return chunk
}

function take(
  answer: Answer,
  chunk: Chunk,
  calls: ToolCalls,
  { onDelta, onReport }: Pick<AnswerOptions, 'onDelta' | 'onReport'>,
): void {
  if (chunk.error !== undefined && chunk.error !== null) throw new StreamedError(chunk.error)
  if (chunk.usage) answer.usage = chunk.usage
  const choice = chunk.choices?.find(({ index }) => !index)
  if (choice === undefined) return
  const reasoning = reasoningOf(choice.delta)
  if (reasoning !== undefined) onReport({ type: 'reasoning', text: reasoning })
  calls.take(choice.delta)
  const text = choice.delta?.content
  if (text) {
    answer.content += text
    onDelta(text)
  }
  if (choice.finish_reason) answer.finishReason = choice.finish_reason
}
