import { Writable } from 'node:stream'
import { pino } from 'pino'
import { LogTap } from '../../src/logs/log-tap.js'

/** A logger whose lines go nowhere but into the tap. */
export function tapped() {
  const tap = new LogTap()
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  return { tap, logger: pino({ level: 'trace', hooks: { streamWrite: tap.write } }, nowhere) }
}
