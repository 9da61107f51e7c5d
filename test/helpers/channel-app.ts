import type { Test } from 'tap'
import { startScripted } from './scripted-agent.js'
import { ScriptedChannel } from './scripted-channel.js'

/** A gateway with a scripted agent and a scripted channel, `chat`. */
export async function startWithChannel(
  t: Test,
  overrides: Parameters<typeof startScripted>[1] = {},
  options: Parameters<typeof startScripted>[2] = {},
) {
  const channel = new ScriptedChannel('chat')
  const running = await startScripted(t, overrides, {
    ...options,
    prepare: async (app) => {
      app.deliverer.attach(channel)
      await options.prepare?.(app)
    },
  })
  /** A message that came in on the channel. */
  const say = async (content: string, messageId: string | null = null, key = 'chat:1:main') => {
    const origin = { messageId, senderId: '1', group: false }
    const payload = messageId === null ? { content } : { content, origin }
    const socket = await running.connect({ subscribe: [] })
    const accepted = await socket.call(
      'events.publish',
      { type: 'message.received', source: 'chat', payload },
      key,
    )
    socket.terminate()
    return accepted as { runId: string; eventId: string }
  }
  return { ...running, channel, say }
}
