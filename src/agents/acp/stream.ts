import type { AnyMessage, JsonRpcId, Stream } from '@agentclientprotocol/sdk'
import { readUpdate, type Update } from './updates.js'

/**
 * What goes to and fro without what the SDK would write to the console, where nothing bounds it: updates of a kind that it
 * does not know, and responses that nobody asked for. Updates are told before the response that ends their turn goes on.
 */
export function quiet({ readable, writable }: Stream, onUpdate: (update: Update) => void): Stream {
  const asked = new Set<JsonRpcId>()
  const writer = writable.getWriter()
  return {
    readable: readable.pipeThrough(
      new TransformStream<AnyMessage, AnyMessage>({
        transform(message, controller) {
          if (!('method' in message)) {
            if (asked.delete(message.id)) controller.enqueue(message)
          } else if (message.method !== 'session/update' || 'id' in message) {
            controller.enqueue(message)
          } else {
            const update = readUpdate(message.params)
            if (update !== null) onUpdate(update)
          }
        },
      }),
    ),
    writable: new WritableStream<AnyMessage>({
      write(message) {
        if ('method' in message && 'id' in message) asked.add(message.id)
        return writer.write(message)
      },
      close: () => writer.close(),
      abort: (reason) => writer.abort(reason),
    }),
  }
}
