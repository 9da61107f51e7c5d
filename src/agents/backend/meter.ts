import { GatewayError } from '../../protocol/index.js'

/** Passes bytes on, as many as are allowed. @throws GatewayError `UNAVAILABLE` past that, inside the stream */
export function meter(
  maxBytes: number,
  onBytes: () => void,
  who: string,
): TransformStream<Uint8Array, Uint8Array> {
  let bytes = 0
  return new TransformStream({
    transform(chunk, controller) {
      onBytes()
      bytes += chunk.byteLength
      if (bytes > maxBytes) {
        const message = `The ${who}’s answer is longer than the ${maxBytes} bytes that are allowed.`
        throw new GatewayError('UNAVAILABLE', message, { retryable: false })
      }
      controller.enqueue(chunk)
    },
  })
}
