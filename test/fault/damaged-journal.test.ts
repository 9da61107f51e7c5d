import { closeSync, fstatSync, openSync, readFileSync, truncateSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { temporaryFolder } from '../helpers/app.js'
import { runCli } from '../helpers/gateway-process.js'
import type { Frame } from '../helpers/socket.js'
import { until } from '../helpers/until.js'
import { copyState } from './faults.js'
import { Ledger } from './ledger.js'

const PAGE = 4_096

/** Overwrites pages without holding the file open, from one page to another or to the end. */
function damage(path: string, from: number, to?: number): void {
  const file = openSync(path, 'r+')
  const end = to ?? Math.floor(fstatSync(file).size / PAGE)
  writeSync(file, Buffer.alloc((end - from) * PAGE, 0xa5), 0, (end - from) * PAGE, from * PAGE)
  closeSync(file)
}

const WAYS: Record<string, (path: string) => void> = {
  'at its beginning': (path) => damage(path, 0, 1),
  'in the middle': (path) => damage(path, 12, 30),
  'since it was cut short': (path) => truncateSync(path, 20 * PAGE),
}

t.test('damage is met by words, and by nothing that makes it worse', async (t) => {
  const ledger = await Ledger.create(t, { messages: 10, padding: 2_000 })
  const first = await ledger.start()
  await ledger.drive(first)
  await ledger.settled(first)
  t.equal((await first.stop()).code, 0)
  const backup = join(await temporaryFolder(t), 'backup')
  copyState(ledger.home, backup)

  for (const [how, spoil] of Object.entries(WAYS)) {
    await t.test(`a start with a journal that is damaged ${how}`, async (t) => {
      const home = join(await temporaryFolder(t), 'home')
      copyState(backup, home)
      const path = join(home, 'journal.db')
      spoil(path)
      const before = readFileSync(path)
      const { code, stderr } = await runCli(['gateway', 'start'], { home })
      t.equal(code, 1)
      t.ok(stderr.includes(path), 'names the file')
      t.match(stderr, /damaged.*Move it away or restore a backup; it was not changed/s)
      t.ok(readFileSync(path).equals(before), 'is as it was')
    })
  }

  await t.test('a gateway whose journal is damaged while it runs', async (t) => {
    const gateway = await ledger.start()
    const sender = await ledger.connect(gateway)
    damage(join(ledger.home, 'journal.db'), 5)
    // Somebody reads it: that finds it.
    const reader = await ledger.connect(gateway, { resume: { epoch: sender.helloOk?.resume.epoch, seq: 0 } })
    const health = async (): Promise<Frame> => JSON.parse(await (await fetch(`${gateway.url}/health`)).text())
    await until(async () => /out of use/.test((await health()).checks.journal.message))
    t.match(await health(), {
      status: 'failing',
      checks: { journal: { message: /journal\.db is out of use: .*damaged.*restore a backup/ } },
    })
    t.same(
      await Promise.all(
        ['ready', 'live'].map(async (on) => (await fetch(`${gateway.url}/health/${on}`)).status),
      ),
      [503, 200],
    )
    const refusal = await sender.refused('sessions.send', { content: 'never' }, 'chat:0:main')
    t.match(refusal, { code: 'UNAVAILABLE', retryable: true })
    t.notOk(refusal.message.includes(ledger.home), 'a client is not told where it is')
    t.equal((await sender.call('gateway.ping', {})).pong, true)
    reader.terminate()
    t.same(await gateway.stop(), { code: 0, signal: null })
    const { code } = await runCli(['gateway', 'start'], { home: ledger.home })
    t.equal(code, 1, 'it does not start with it either')

    copyState(backup, ledger.home)
    const restored = await ledger.start()
    t.same(await ledger.audit(restored), [], 'the backup has everything')
    await restored.kill9()
  })
})
