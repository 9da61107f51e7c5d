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

/** proc(5): field 22 of stat counts ticks since the boot that boot_id names. */
function linuxIdentity(pid: number): string {
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  return `${bootId}:${readStat(pid)[22 - 3]}`
}

/** The fields of /proc/PID/stat from the third on, the state. The name in the second may contain anything. */
function readStat(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

/** Whether there is a process of that pid, ours or not, that has not ended. */
export function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false
  }
  return !isZombie(pid)
}

/** It has ended, and its parent has not asked how: the rule in containers whose first process is no init. */
function isZombie(pid: number): boolean {
  if (process.platform !== 'linux') return false
  try {
    return readStat(pid)[0] === 'Z'
  } catch {
    return false
  }
}
