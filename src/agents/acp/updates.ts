import { type Static, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import type { ToolCall } from '../../protocol/index.js'

const nullable = <T extends Parameters<typeof Type.Optional>[0]>(schema: T) =>
  Type.Optional(Type.Union([schema, Type.Null()]))

const Chunk = Type.Object({
  sessionUpdate: Type.Union([Type.Literal('agent_message_chunk'), Type.Literal('agent_thought_chunk')]),
  content: Type.Object({ type: Type.Literal('text'), text: Type.String() }),
})

const ToolUpdate = Type.Object({
  sessionUpdate: Type.Union([Type.Literal('tool_call'), Type.Literal('tool_call_update')]),
  toolCallId: Type.String({ minLength: 1, maxLength: 256 }),
  title: nullable(Type.String()),
  status: nullable(Type.String()),
  rawInput: Type.Optional(Type.Unknown()),
  rawOutput: Type.Optional(Type.Unknown()),
  content: nullable(Type.Array(Type.Unknown())),
})
export type ToolUpdate = Omit<Static<typeof ToolUpdate>, 'sessionUpdate'>

const Usage = Type.Object({
  sessionUpdate: Type.Literal('usage_update'),
  used: Type.Number(),
  size: Type.Number(),
  cost: Type.Optional(Type.Unknown()),
})

/** What is read of `session/update` (ACP, Prompt Turn); plans, modes, commands and what is newer are passed over. */
const Update = Type.Object({ sessionId: Type.String(), update: Type.Union([Chunk, ToolUpdate, Usage]) })
export type Update = Static<typeof Update>

const updates = TypeCompiler.Compile(Update)

/** Null: nothing that is read here. Whatever the agent sends, it is no reason to fail. */
export function readUpdate(params: unknown): Update | null {
  return updates.Check(params) ? params : null
}

/** A call as those who watch are told; of `first` the call begins. */
export function toolCall(update: ToolUpdate, first: boolean): ToolCall {
  const { toolCallId: callId, title, status, rawInput: input, rawOutput, content } = update
  const ended = status === 'completed' || status === 'failed' ? status : undefined
  return {
    callId,
    title: title ?? undefined,
    status: ended ?? (first ? 'started' : 'updated'),
    input,
    output: rawOutput ?? (content?.length ? content : undefined),
  }
}
