import { Type } from '@sinclair/typebox'
import { parseOptions } from '../config/parse-options.js'
import type { JsonObject } from '../protocol/index.js'
import { abortError } from './abort.js'
import type { Agent } from './agent.js'

export const EchoOptions = Type.Object({}, { additionalProperties: false })

/** Answers with what it is told, so that a gateway without any key works (spec §4). Streams nothing. */
export function createEchoAgent(options: JsonObject = {}): Agent {
  parseOptions(EchoOptions, options)
  return {
    type: 'echo',
    async run(event, { signal }) {
      if (signal.aborted) throw abortError(signal)
      const { content } = event.payload
      return { content: typeof content === 'string' ? content : JSON.stringify({ type: event.type }) }
    },
  }
}
