const FINAL_TEXT = 0x81

/** Bytes of an unmasked server frame's header (RFC 6455 §5.2). */
export function headerLength(payloadLength: number): number {
  return payloadLength < 126 ? 2 : payloadLength < 65_536 ? 4 : 10
}

function writeHeader(target: Buffer, offset: number, payloadLength: number): number {
  target[offset] = FINAL_TEXT
  if (payloadLength < 126) {
    target[offset + 1] = payloadLength
    return offset + 2
  }
  if (payloadLength < 65_536) {
    target[offset + 1] = 126
    target[offset + 2] = payloadLength >>> 8
    target[offset + 3] = payloadLength & 0xff
    return offset + 4
  }
  target[offset + 1] = 127
  target.writeBigUInt64BE(BigInt(payloadLength), offset + 2)
  return offset + 10
}

/** One WebSocket text frame, ready for the socket. */
export function encodeFrame(text: string): Buffer {
  const length = Buffer.byteLength(text)
  const frame = Buffer.allocUnsafe(headerLength(length) + length)
  const start = writeHeader(frame, 0, length)
  frame.write(text, start, 'utf8')
  return frame
}

/** What waits for a socket: text that becomes a frame of its own, or frames encoded before and shared. */
export type Outgoing = string | Buffer

let lengths = new Uint32Array(256)

/** All frames of a queue, one after the other in one buffer, so that they cost one write. */
export function encodeFrames(queue: readonly Outgoing[]): Buffer {
  if (queue.length === 1) {
    const only = queue[0]!
    return typeof only === 'string' ? encodeFrame(only) : only
  }
  if (lengths.length < queue.length) lengths = new Uint32Array(queue.length * 2)
  let total = 0
  for (let i = 0; i < queue.length; i++) {
    const item = queue[i]!
    const length = typeof item === 'string' ? Buffer.byteLength(item) : item.length
    lengths[i] = length
    total += typeof item === 'string' ? headerLength(length) + length : length
  }
  const batch = Buffer.allocUnsafe(total)
  let offset = 0
  for (let i = 0; i < queue.length; i++) {
    const item = queue[i]!
    const length = lengths[i]!
    if (typeof item === 'string') {
      offset = writeHeader(batch, offset, length)
      // A text of as many bytes as units is ASCII: copied, not transcoded.
      batch.write(item, offset, length === item.length ? 'latin1' : 'utf8')
    } else {
      batch.set(item, offset)
    }
    offset += length
  }
  return batch
}
