import { type Static, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { AgentReport, JsonObject } from '../../protocol/index.js'

const reply = { metadata: Type.Optional(JsonObject), usage: Type.Optional(JsonObject) }

/** A whole answer in one JSON object. */
export const WholeAnswer = Type.Object({ content: Type.String(), ...reply })
export const wholeAnswer = TypeCompiler.Compile(WholeAnswer)

/** One line, or one event, of a streamed answer. */
const Message = Type.Union([
  Type.Object({ type: Type.Literal('delta'), text: Type.String() }),
  AgentReport,
  Type.Object({ type: Type.Literal('usage'), usage: JsonObject }),
  Type.Object({ type: Type.Literal('final'), content: Type.Optional(Type.String()), ...reply }),
  Type.Object({
    type: Type.Literal('error'),
    code: Type.Optional(Type.String()),
    message: Type.String(),
    retryable: Type.Optional(Type.Boolean()),
  }),
])
export type Message = Static<typeof Message>
export const message = TypeCompiler.Compile(Message)

const TYPES = new Set(['delta', 'tool', 'reasoning', 'usage', 'final', 'error'])

/** The receiver’s own word that it cannot answer. */
export class ReceiverError extends Error {
  constructor(readonly shape: Extract<Message, { type: 'error' }>) {
    super('the receiver sent an error')
  }
}

/** What the receiver sent is none of the above. */
export class MalformedAnswer extends Error {
  constructor(readonly data: string) {
    super('the receiver sent something else than an answer')
  }
}

/** Null: of a type that a later version may have. @throws MalformedAnswer */
export function parseMessage(text: string): Message | null {
  const value = parseJson(text)
  if (message.Check(value)) return value
  const type = typeof value === 'object' && value !== null && 'type' in value ? value.type : undefined
  if (typeof type === 'string' && !TYPES.has(type)) return null
  throw new MalformedAnswer(text)
}

/** @throws MalformedAnswer */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new MalformedAnswer(text)
  }
}
