import type { Readable } from 'node:stream'
import type { Log } from '../agent.js'
import { sanitise } from '../backend/failures.js'

const MAX_CHARS = 500
const MAX_LINES = 20
const WINDOW_MS = 10_000

/** Writes what a process says on its standard error to the log: lines are cut, of many only the first are taken. */
export function logErrors(stream: Readable, agent: string, secrets: readonly string[], log: Log): void {
  let rest = ''
  let lines = 0
  let since = 0
  let leftOut = 0

  const line = (text: string) => {
    const now = performance.now()
    if (now - since > WINDOW_MS) {
      if (leftOut > 0) log.warn({ agent, lines: leftOut }, 'lines of an agent’s standard error were left out')
      since = now
      lines = 0
      leftOut = 0
    }
    if (++lines > MAX_LINES) leftOut++
    else log.info({ agent, line: sanitise(text, secrets, MAX_CHARS) }, 'an agent wrote to its standard error')
  }

  stream.setEncoding('utf8')
  stream.on('data', (text: string) => {
    const parts = text.split('\n')
    // Of a line without end the start is enough.
    rest = (rest + parts[0]).slice(0, 4 * MAX_CHARS)
    for (const part of parts.slice(1)) {
      if (rest.trim() !== '') line(rest)
      rest = part.slice(0, 4 * MAX_CHARS)
    }
  })
  stream.on('end', () => {
    if (rest.trim() !== '') line(rest)
    if (leftOut > 0) log.warn({ agent, lines: leftOut }, 'lines of an agent’s standard error were left out')
  })
  stream.on('error', () => {})
}
