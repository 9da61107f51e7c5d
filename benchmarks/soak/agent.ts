import { setTimeout as delay } from 'node:timers/promises'
import type { ModuleContext } from '../../src/agents/module.js'
import type { InboundEvent } from '../../src/protocol/index.js'

/** Behaves as the first word of the message says, as agents do: quick, slow, streaming, failing, hanging. */
export default async function (event: InboundEvent, context: ModuleContext): Promise<string> {
  const { signal } = context
  const text = String(event.payload.content ?? '')
  switch (text.slice(0, text.indexOf(' '))) {
    case 'slow':
      await delay(50, undefined, { signal })
      break
    case 'stream':
      for (let piece = 0; piece < 20; piece++) {
        context.delta(`piece ${piece} `)
        await delay(2, undefined, { signal })
      }
      break
    case 'steered':
      context.onSteer(() => true)
      await delay(30, undefined, { signal })
      break
    case 'fail':
      throw new Error('asked to fail')
    case 'hang':
      await new Promise(() => {})
  }
  return `answer to ${text.length} characters after ${context.history.length} messages`
}
