import { type Logger, pino } from 'pino'
import type { Config } from '../config/schema.js'
import type { LogTap } from '../logs/log-tap.js'

/**
 * The log on standard output: for people, or JSON lines. Written at once rather than by a worker thread, so that the last
 * words of a dying process are there. `tap` gets every line as well.
 */
export async function createLogger({ level, format }: Config['log'], tap: LogTap): Promise<Logger> {
  const options = { level, hooks: { streamWrite: tap.write } }
  if (format !== 'pretty') return pino(options, pino.destination({ dest: 1, sync: true }))
  const { default: pretty } = await import('pino-pretty')
  const stream = pretty({
    destination: 1,
    sync: true,
    colorize: process.env.NO_COLOR === undefined && process.stdout.isTTY === true,
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'pid,hostname',
  })
  return pino(options, stream)
}
