import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { Test } from 'tap'
import { type Exit, PROGRAM } from '../helpers/gateway-process.js'

/** Nobody's: no entry in /etc/passwd. */
export const UID = 41_789

/**
 * Process 1 of its own namespace, without a terminal or standard input, in a read-only file system but for one folder, as a user
 * without a name. It may read everything, since where the tests are may be closed to others.
 */
const SCRIPT = `
set -e
mount --bind "$1" "$1"
mount -o remount,bind,ro /
cd /
keep=-all,+dac_read_search
shift
exec setsid setpriv --reuid ${UID} --regid ${UID} --clear-groups --no-new-privs \
  --inh-caps $keep --ambient-caps $keep --bounding-set $keep "$@" <&-
`

export interface Container {
  readonly exited: Promise<Exit>
  output(): string
  /** To process 1. */
  signal(name: NodeJS.Signals): void
}

/** Runs the built gateway as a container would; killed with the test. Needs root, and unshare and setpriv of util-linux. */
export async function startContainer(
  t: Test,
  { writable, env }: { writable: string; env: Readonly<Record<string, string>> },
): Promise<Container> {
  const namespaces = [
    '--mount',
    '--pid',
    '--fork',
    '--kill-child',
    '--mount-proc',
    '--propagation',
    'private',
  ]
  const gateway = [process.execPath, PROGRAM, 'gateway', 'start', '--host', '0.0.0.0']
  const child = spawn('unshare', [...namespaces, 'sh', '-c', SCRIPT, 'sh', writable, ...gateway], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text
    })
  }
  const exited = new Promise<Exit>((resolve) =>
    child.once('close', (code, signal) => resolve({ code, signal })),
  )
  await once(child, 'spawn')
  return { exited, output: () => output, signal: (name) => process.kill(firstChildOf(child), name) }
}

function firstChildOf({ pid }: ChildProcess): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ')[0])
}
