import type { FastifyInstance } from 'fastify'
import { requireUnconfined } from '../../src/auth/rights.js'
import type { LiveConfig } from '../../src/config/live.js'
import type { Connection } from '../../src/connection/connection.js'
import { encodeEvent } from '../../src/events/event-frame.js'
import { createLogRedactor, levelNumber, lineReader } from '../../src/logs/log-line.js'
import type { LogFollower, LogTap } from '../../src/logs/log-tap.js'
import { EVENTS, logsTail, logsUntail } from '../../src/protocol/index.js'

const DEFAULT_LINES = 100

/** `logs.*`. A slow reader loses lines, which the next event's `dropped` counts; it holds nobody up. */
export default async function logMethods(
  app: FastifyInstance,
  { live, logs }: { live: LiveConfig; logs: LogTap },
): Promise<void> {
  const followers = new Map<Connection, LogFollower>()
  // Secrets that come with a change are to be taken out as well.
  let read: ReturnType<typeof lineReader>
  const learnSecrets = () => {
    const { ownToken } = app.auth.identities
    const others = ownToken === null ? [] : [ownToken]
    read = lineReader(live.config, process.env, others)
    if (logs.redactor !== null) logs.redactor = createLogRedactor(live.config, process.env, others)
  }
  learnSecrets()
  live.onChanged([''], learnSecrets)
  app.metrics.instruments.counted(
    'gateway_log_lines_lost_total',
    'Lines that the log file left out, as it could not be written or not fast enough.',
    [],
    (set) => set({}, logs.lost),
  )

  function untail(connection: Connection): void {
    const follower = followers.get(connection)
    if (follower === undefined) return
    followers.delete(connection)
    logs.unfollow(follower)
  }

  app.method(logsTail, ({ level = 'info', limit = DEFAULT_LINES }, { connection, principal }) => {
    requireUnconfined(principal)
    const least = levelNumber(level)
    const follower: LogFollower = (text, of) => {
      if (of < least) return
      const line = read(text)
      const payload = JSON.stringify(line)
      const frame = encodeEvent(
        { event: EVENTS.log.name, sessionKey: null, at: line.at, payload, seq: 0 },
        true,
      )
      connection.sendEvent(frame)
    }
    if (followers.has(connection)) untail(connection)
    else connection.socket.once('close', () => untail(connection))
    followers.set(connection, follower)
    logs.follow(follower)
    return { lines: logs.last(limit, least).map((text) => read(text)) }
  })

  app.method(logsUntail, (_params, { connection }) => {
    untail(connection)
    return {}
  })

  app.addHook('onClose', async () => {
    for (const connection of [...followers.keys()]) untail(connection)
  })
}
