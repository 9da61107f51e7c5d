import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { InspectDepth, JournalInspection } from './inspect.js'

const PROGRAM = fileURLToPath(new URL('./inspect-process.js', import.meta.url))

/**
 * `inspectJournal` in a process of its own, which can be ended in the middle: SQLite reads on, whatever its caller wants. Rejects
 * when `signal` aborts, or the process ends by itself, as a damaged file can make it.
 */
export function inspectApart(
  path: string,
  depth: InspectDepth,
  signal?: AbortSignal,
): Promise<JournalInspection> {
  return new Promise((resolve, reject) => {
    const child = fork(PROGRAM, [path, depth], {
      signal,
      killSignal: 'SIGKILL',
      execArgv: [],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    })
    child.once('message', (found) => resolve(found as JournalInspection))
    child.once('error', reject)
    // Not `exit`, which may come before the answer does.
    child.once('close', (code, by) => reject(new Error(`reading the journal ended with ${by ?? code}`)))
  })
}
