import type { Socket } from 'node:net'

/** How long a socket that cannot be written to is still read, at most. */
const LAST_WORDS_MS = 1_000

/**
 * Has a socket read to its end where a write fails first: a server that hangs up says why before that, but Node closes a
 * socket with the first write that fails, whatever has come and was not read yet.
 */
export function hearLastWords(socket: Socket): void {
  const { _write, _writev } = socket
  const patiently = (done: (error?: Error | null) => void) => (error?: Error | null) => {
    if (!error || socket.destroyed || socket.readableEnded) return done(error)
    const finish = () => {
      clearTimeout(timer)
      socket.off('end', finish).off('close', finish)
      done(error)
    }
    const timer = setTimeout(finish, LAST_WORDS_MS)
    socket.once('end', finish).once('close', finish)
  }
  socket._write = (chunk, encoding, done) => _write.call(socket, chunk, encoding, patiently(done))
  socket._writev = (chunks, done) => _writev!.call(socket, chunks, patiently(done))
}
