import { execFileSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type GatewayProcess, runCli, startGateway } from '../helpers/gateway-process.js'
import { TestSocket } from '../helpers/socket.js'
import { until } from '../helpers/until.js'
import { Ledger } from './ledger.js'

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

/** Takes all room that is left, whoever else takes of it meanwhile; and gives it back. */
function fill(folder: string): () => void {
  const path = join(folder, 'ballast')
  const file = openSync(path, 'w')
  for (let bytes = 1024 * 1024; bytes >= 1; ) {
    try {
      writeSync(file, Buffer.alloc(bytes))
    } catch {
      bytes = Math.floor(bytes / 4)
    }
  }
  closeSync(file)
  return () => rmSync(path)
}

const healed = (gateway: GatewayProcess) =>
  until(async () => (await fetch(`${gateway.url}/health`)).status === 200)

/** What a gateway may say while its disk is full. */
const COMPLAINTS = /journal cannot write|outcome could not be written|run failed unexpectedly|ENOSPC/

t.test('a full disk refuses, turns health red, and heals by itself', async (t) => {
  const home = smallDisk(t)
  const gateway = await startGateway({ home })
  t.teardown(() => gateway.kill9())
  const socket = await TestSocket.greeted(t, gateway.wsUrl)
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
  await healed(gateway)
  const last = await socket.call('sessions.send', { content: 'after', wait: true }, 'disk:1:main')
  t.equal(last.outcome.message.content, 'after')
  const { messages } = await socket.call('sessions.history', {}, 'disk:1:main')
  t.same(
    messages
      .map(({ content }: { content: string }) => content.slice(0, 10))
      .filter((c: string) => !c.startsWith('xx')),
    ['before', 'before', 'after', 'after'],
  )
  await until(async () => (await socket.call('gateway.info')).lanes.pending === 0)
  t.pass('what was accepted before the disk was full is answered')
})

t.test('runs that end while the disk is full have their outcome when there is room, each once', async (t) => {
  const disk = smallDisk(t)
  const ledger = await Ledger.create(t)
  const env = { LURKBOT_GATEWAY__JOURNAL__PATH: join(disk, 'journal.db'), AGENT_MS: '60' }
  const gateway = await ledger.start({ env })
  const sender = await ledger.connect(gateway)
  await ledger.drive(gateway)
  await sender.event('agent.started')
  const giveBack = fill(disk)
  // What the log has of its own may still take a few.
  await until(() => gateway.output().includes('outcome could not be written yet'))
  const finals = sender.frames.filter(({ event }) => event === 'agent.completed').length
  t.ok(finals < ledger.total, `${finals} of ${ledger.total} had an outcome before`)
  t.equal((await sender.refused('sessions.send', { content: 'never' }, 'chat:0:main')).code, 'UNAVAILABLE')
  giveBack()
  await healed(gateway)
  t.same(await ledger.audit(gateway, { complaints: COMPLAINTS }), [])
  await gateway.kill9()
})

t.test(
  'killed and started again while the disk is full: all is there, and goes on when there is room',
  async (t) => {
    const disk = smallDisk(t)
    const ledger = await Ledger.create(t)
    const env = { LURKBOT_GATEWAY__JOURNAL__PATH: join(disk, 'journal.db'), AGENT_MS: '60' }
    const first = await ledger.start({ env })
    await ledger.drive(first)
    const giveBack = fill(disk)
    await until(() => first.output().includes('outcome could not be written yet'))
    await first.kill9()

    const second = await ledger.start({ env })
    const sender = await ledger.connect(second)
    t.same((await ledger.stored(sender)).sort(), ledger.known.sort(), 'what was acknowledged can be read')
    await until(() => second.output().includes('outcome could not be written yet'))
    t.equal((await fetch(`${second.url}/health/ready`)).status, 503)
    giveBack()
    await healed(second)
    t.same(await ledger.audit(second, { complaints: COMPLAINTS }), [])
    await second.kill9()
  },
)

t.test('stopped, and started where not even its small files have room: it says so and ends', async (t) => {
  const disk = smallDisk(t)
  const ledger = await Ledger.create(t)
  const path = join(disk, 'journal.db')
  const env = { LURKBOT_GATEWAY__JOURNAL__PATH: path }
  const first = await ledger.start({ env })
  await ledger.drive(first)
  await first.stop()
  const giveBack = fill(disk)
  const refused = await runCli(['gateway', 'start'], { home: ledger.home, env })
  t.equal(refused.code, 1)
  t.match(refused.stderr, `Journal ${path}: the disk is full. Free some space and start again.`)
  const home = await runCli(['gateway', 'start'], {
    home: disk,
    env: { LURKBOT_GATEWAY__JOURNAL__TYPE: 'memory' },
  })
  t.equal(home.code, 1)
  t.match(home.stderr, `The state folder ${disk} cannot be written`)
  giveBack()
  const second = await ledger.start({ env })
  t.same(await ledger.audit(second), [])
  await second.kill9()
})
