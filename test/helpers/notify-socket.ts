import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'
import { until } from './until.js'

/** Prints what it is sent as JSON lines, but for the file descriptor that asks whether all was read: closing it is the answer. */
const LISTENER = `
import json, os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print(json.dumps(''), flush=True)
while True:
    message, fds, _, _ = socket.recv_fds(s, 65536, 8)
    for fd in fds: os.close(fd)
    if not fds: print(json.dumps(message.decode()), flush=True)
`

export interface NotifySocket {
  readonly path: string
  /** Each message: its lines. */
  readonly messages: readonly string[][]
  /** Resolves when there is a message that has this line. */
  heard(line: string): Promise<string[]>
}

/** What systemd listens on, for NOTIFY_SOCKET; in Python, since Node has no datagram sockets of the Unix domain. */
export async function openNotifySocket(t: Test): Promise<NotifySocket> {
  const folder = mkdtempSync(join(tmpdir(), 'lurkbot-notify-'))
  const path = join(folder, 'notify')
  const child = spawn('python3', ['-c', LISTENER, path], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(async () => {
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
    rmSync(folder, { recursive: true, force: true })
  })
  const messages: string[][] = []
  const lines = createInterface({ input: child.stdout })
  const listening = once(lines, 'line')
  lines.on('line', (line) => {
    const text = JSON.parse(line) as string
    if (text !== '') messages.push(text.trim().split('\n'))
  })
  await Promise.race([
    listening,
    once(child, 'exit').then(() => {
      throw new Error('python3 does not run: is it installed? (DEBIAN_PACKAGES in .ci/run)')
    }),
  ])
  const find = (line: string) => messages.find((message) => message.includes(line))
  return {
    path,
    messages,
    async heard(line) {
      await until(() => find(line) !== undefined)
      return find(line)!
    },
  }
}
