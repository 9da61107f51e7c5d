/**
 * Asks an idle connection for a sign of life: the sockets of sleeping laptops and lost networks stay open for minutes, and
 * a browser does not show the gateway's pings. `received` counts frames; `ping` rejects when nothing answered in time.
 * Returns the function that stops it.
 */
export function startHeartbeat(options: {
  readonly intervalMs: number
  readonly received: () => number
  readonly ping: (timeoutMs: number) => Promise<unknown>
  readonly onSilence: () => void
}): () => void {
  const { intervalMs, received, ping, onSilence } = options
  let stopped = false
  let seen = -1
  const timer = setInterval(() => {
    if (received() !== seen) {
      seen = received()
      return
    }
    ping(intervalMs).catch(() => {
      if (!stopped && received() === seen) onSilence()
    })
  }, intervalMs)
  return () => {
    stopped = true
    clearInterval(timer)
  }
}
