import { type Static, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import type { AgentReport } from '../../protocol/index.js'

/** Calls of one answer that are looked at. */
const MAX_CALLS = 128

/** A piece of a tool call: the first one names it, the others add to its arguments. */
const CallPiece = Type.Object({
  index: Type.Optional(Type.Integer()),
  id: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  function: Type.Optional(
    Type.Object({
      name: Type.Optional(Type.Union([Type.String(), Type.Null()])),
      arguments: Type.Optional(Type.Union([Type.String(), Type.Null()])),
    }),
  ),
})
const pieces = TypeCompiler.Compile(CallPiece)

/** What the model thinks aloud; endpoints that give it name it one way or the other. */
export function reasoningOf(delta: object | null | undefined): string | undefined {
  const { reasoning_content, reasoning } = (delta ?? {}) as Record<string, unknown>
  const text = reasoning_content ?? reasoning
  return typeof text === 'string' && text !== '' ? text : undefined
}

/**
 * The tool calls of an answer. This agent offers no tools, so that they are the endpoint’s own: how a call goes on is not in
 * the stream, only that it began. What is of another shape is passed over: the answer does not need it.
 */
export class ToolCalls {
  readonly #calls = new Map<number, { id: string; name: string; input: string }>()

  take(delta: object | null | undefined): void {
    const { tool_calls: given } = (delta ?? {}) as { tool_calls?: unknown }
    if (!Array.isArray(given)) return
    for (const [place, piece] of given.entries()) {
      if (pieces.Check(piece)) this.#add(piece, place)
    }
  }

  #add({ index, id, function: called }: Static<typeof CallPiece>, place: number): void {
    const key = index ?? place
    let call = this.#calls.get(key)
    if (call === undefined) {
      if (this.#calls.size >= MAX_CALLS) return
      call = { id: `call-${key}`, name: '', input: '' }
      this.#calls.set(key, call)
    }
    if (id) call.id = id
    if (called?.name) call.name = called.name
    call.input += called?.arguments ?? ''
  }

  *reports(): Generator<AgentReport> {
    for (const { id, name, input } of this.#calls.values()) {
      yield { type: 'tool', callId: id, title: name || undefined, status: 'started', input: parsed(input) }
    }
  }
}

/** Arguments are JSON as text; where they are not, the text is what there is. */
function parsed(input: string): unknown {
  try {
    return JSON.parse(input)
  } catch {
    return input
  }
}
