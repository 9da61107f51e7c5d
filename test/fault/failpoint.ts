import type { Failpoint } from '../../src/failpoint.js'

/** `POINT:N`: this thread's Nth time at the point is the end of the process. */
const [name, hit] = (process.env.FAILPOINT ?? '').split(':')
let left = Number(hit)

/** Takes the place of src/failpoint.ts under the condition `failpoints`. */
export function failpoint(point: Failpoint): void {
  if (point === name && --left === 0) process.kill(process.pid, 'SIGKILL')
}
