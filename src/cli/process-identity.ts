import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/**
 * What tells a process from another one that got the same pid later: when it was started. Null where the process is gone or
 * the system does not say (then the pid alone has to do).
 */
export function processIdentity(pid: number): string | null {
  try {
    if (process.platform === 'linux') return linuxIdentity(pid)
    if (process.platform === 'win32') return null
    const started = execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' })
    return started.trim() || null
  } catch {
    return null
  }
}

/** proc(5): field 22 of stat counts ticks since the boot that boot_id names. The name in field 2 may contain anything. */
function linuxIdentity(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  return `${bootId}:${fields[22 - 3]}`
}

/** Whether there is a process of that pid, ours or not. */
export function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
