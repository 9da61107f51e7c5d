import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startGateway } from '../helpers/gateway-process.js'
import { TestSocket } from '../helpers/socket.js'

const SIZE_BYTES = 6 * 1024 * 1024

/** A file system of a few megabytes, which fills up for real. Needs root. */
function smallDisk(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'lurkbot-disk-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE_BYTES}`, 'tmpfs', folder])
  t.teardown(() => {
    execFileSync('umount', ['-l', folder])
    rmSync(folder, { recursive: true, force: true })
  })
  return folder
}

/** Takes all room that is left, and gives it back. */
function fill(folder: string): () => void {
  const ballast = join(folder, 'ballast')
  const { bavail, bsize } = statfsSync(folder)
  writeFileSync(ballast, Buffer.alloc(bavail * bsize))
  return () => rmSync(ballast)
}

t.test('a full disk refuses, turns health red, and heals by itself', async (t) => {
  const home = smallDisk(t)
  const gateway = await startGateway({ home })
  t.teardown(() => gateway.kill9())
  const socket = new TestSocket(gateway.wsUrl)
  t.teardown(() => socket.terminate())
  await socket.opened
  await socket.hello()
  const first = await socket.call('sessions.send', { content: 'before', wait: true }, 'disk:1:main')
  t.equal(first.outcome.status, 'completed')

  const giveBack = fill(home)
  // The log of the database may have room of its own left; large messages use it up.
  let refusal = null
  for (let i = 0; i < 50 && refusal === null; i++) {
    const { error } = await socket.request(
      'sessions.send',
      { content: 'x'.repeat(100_000) },
      `disk:${i}:main`,
    )
    refusal = error
  }
  t.match(refusal, { code: 'UNAVAILABLE', retryable: true, retryAfterMs: Number })
  const red = await fetch(`${gateway.url}/health`)
  t.equal(red.status, 503)
  t.match(await red.json(), {
    status: 'failing',
    checks: { journal: { status: 'failing', message: String } },
  })
  t.equal((await fetch(`${gateway.url}/health/ready`)).status, 503)
  t.equal((await fetch(`${gateway.url}/health/live`)).status, 200, 'it lives: a restart would not help')
  t.equal((await socket.call('gateway.ping', {})).pong, true, 'what needs no disk works')

  giveBack()
  while ((await fetch(`${gateway.url}/health`)).status !== 200)
    await new Promise((resolve) => setTimeout(resolve, 50))
  const healed = await socket.call('sessions.send', { content: 'after', wait: true }, 'disk:1:main')
  t.equal(healed.outcome.message.content, 'after')
  const { messages } = await socket.call('sessions.history', {}, 'disk:1:main')
  t.same(
    messages
      .map(({ content }: { content: string }) => content.slice(0, 10))
      .filter((c: string) => !c.startsWith('xx')),
    ['before', 'before', 'after', 'after'],
  )
  while ((await socket.call('gateway.info')).lanes.pending > 0)
    await new Promise((resolve) => setTimeout(resolve, 50))
  t.pass('what was accepted before the disk was full is answered')
})
