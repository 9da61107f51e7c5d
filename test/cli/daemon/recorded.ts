import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { CommandResult, Run } from '../../../src/cli/daemon/service-manager.js'

/** A home folder that goes with the test, for whatever asks the system where it is. */
export function userHome(t: Test): string {
  const { HOME: before } = process.env
  const home = mkdtempSync(join(tmpdir(), 'lurkbot-user-'))
  process.env.HOME = home
  t.teardown(() => {
    process.env.HOME = before
    rmSync(home, { recursive: true, force: true })
  })
  return home
}

/** Stands for the programs of another system: notes what is asked of them, and answers as told. */
export function recorder(answer: (command: string) => Partial<CommandResult>): { run: Run; calls: string[] } {
  const calls: string[] = []
  const run: Run = async (program, args) => {
    const command = [program, ...args].join(' ')
    calls.push(command)
    return { code: 0, stdout: '', stderr: '', ...answer(command) }
  }
  return { run, calls }
}
