import { setTimeout as delay } from 'node:timers/promises'
import { GatewayError } from 'lurkbot-gateway/protocol'

/**
 * Answers with the words of a message backwards, one by one.
 *
 * @param {{ pauseMs?: number }} options the rest of the entry under `agents:`
 * @returns {import('lurkbot-gateway').Agent}
 */
export function createBackwardsAgent({ pauseMs = 0 } = {}) {
  if (!(pauseMs >= 0)) throw new Error(`pauseMs: expected a number of milliseconds, found ${pauseMs}`)
  return {
    type: 'backwards',
    async run(event, { signal, delta }) {
      let content = ''
      for (const word of String(event.payload.content ?? '')
        .split(' ')
        .reverse()) {
        await pause(pauseMs, signal)
        const piece = content === '' ? word : ` ${word}`
        delta(piece)
        content += piece
      }
      return { content }
    },
  }
}

/** Whoever stops a run is told with the reason that they gave, or else that it was cancelled. */
async function pause(ms, signal) {
  try {
    signal.throwIfAborted()
    await delay(ms, undefined, { signal })
  } catch {
    throw signal.reason instanceof GatewayError
      ? signal.reason
      : new GatewayError('CANCELLED', 'The run was stopped.')
  }
}

/** The plugin: entries under `agents:` may say `type: backwards`. */
export default async function backwardsPlugin(app) {
  app.agent('backwards', createBackwardsAgent)
}
