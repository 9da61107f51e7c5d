import { existsSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import type { RotatingFileStream } from 'rotating-file-stream'
import t, { type Test } from 'tap'
import { createLogFile, LogFile, type LogFileOptions } from '../../src/logs/log-file.js'
import { until } from '../helpers/until.js'

const FLUSH_MS = 10_000

interface Opened {
  readonly file: LogFile
  readonly folder: string
  readonly troubles: string[]
  lost(): number
  read(name?: string): string[]
}

async function opened(t: Test, options: Partial<LogFileOptions> & { folder?: string } = {}): Promise<Opened> {
  const { folder = join(t.testdir(), 'logs'), ...given } = options
  const troubles: string[] = []
  let lost = 0
  const file = await createLogFile({
    path: join(folder, 'gateway.log'),
    maxBytes: 1_048_576,
    rotateIntervalMs: 86_400_000,
    keepFiles: 3,
    maxPendingBytes: 1_048_576,
    onTrouble: ({ message }) => troubles.push(message),
    onLost: (lines) => {
      lost += lines
    },
    ...given,
  })
  t.teardown(() => file.close(FLUSH_MS))
  const read = (name = 'gateway.log') => readFileSync(join(folder, name), 'utf8').split('\n').filter(Boolean)
  return { file, folder, troubles, lost: () => lost, read }
}

t.test(
  'lines come in order into a file that only its owner may read, in a folder of the same kind',
  async (t) => {
    const { file, folder, read } = await opened(t)
    for (let i = 0; i < 100; i++) file.write(`line ${i}\n`)
    await file.flush(FLUSH_MS)
    t.strictSame(
      read(),
      Array.from({ length: 100 }, (_, i) => `line ${i}`),
    )
    t.equal(statSync(folder).mode & 0o777, 0o700)
    t.equal(statSync(file.path).mode & 0o777, 0o600)
  },
)

t.test('a file that is large enough is set aside, and only so many of those are kept', async (t) => {
  const { file, folder, read } = await opened(t, { maxBytes: 1_024 })
  writeFileSync(join(folder, '..', 'other'), '')
  for (let i = 0; i < 6; i++) {
    file.write(`${i} ${'x'.repeat(1_100)}\n`)
    await file.flush(FLUSH_MS)
  }
  file.write('the last\n')
  await file.flush(FLUSH_MS)
  t.strictSame(readdirSync(folder).sort(), ['gateway.log', 'gateway.log.1', 'gateway.log.2', 'gateway.log.3'])
  t.strictSame(read(), ['the last'])
  for (const [name, first] of [
    ['gateway.log.1', '5'],
    ['gateway.log.3', '3'],
  ] as const) {
    t.equal(read(name)[0]![0], first)
    t.equal(statSync(join(folder, name)).mode & 0o777, 0o600)
  }
})

t.test('a file of an earlier day is set aside, and those beyond the number that is kept go', async (t) => {
  const folder = t.testdir({
    'gateway.log': 'yesterday\n',
    'gateway.log.2': 'older\n',
    'gateway.log.9': 'from when more were kept\n',
    'gateway.log.txt': 'not ours\n',
  })
  const yesterday = Date.now() / 1_000 - 86_400
  utimesSync(join(folder, 'gateway.log'), yesterday, yesterday)
  const { file, read } = await opened(t, { folder })
  file.write('today\n')
  await file.flush(FLUSH_MS)
  t.strictSame(read(), ['today'])
  t.strictSame(read('gateway.log.1'), ['yesterday'])
  t.strictSame(read('gateway.log.3'), ['older'])
  t.notOk(existsSync(join(folder, 'gateway.log.9')))
  t.ok(existsSync(join(folder, 'gateway.log.txt')))
})

t.test(
  'a disk that fails is told of once, holds nobody up, and gets what fits when it is back',
  async (t) => {
    const folder = join(t.testdir({ logs: 'no folder' }), 'logs')
    const { file, troubles, lost, read } = await opened(t, { folder, maxPendingBytes: 1_024 })
    for (let i = 0; i < 100; i++) file.write(`${i} ${'x'.repeat(98)}\n`)
    await file.flush(FLUSH_MS)
    file.flushSync()
    t.equal(troubles.length, 1, troubles.join())
    t.equal(lost(), 90)
    rmSync(folder)
    await until(() => existsSync(file.path))
    file.write('it is back\n')
    await file.flush(FLUSH_MS)
    t.match(JSON.parse(read()[0]!), { level: 40, lost: 90, msg: /left out/ })
    t.strictSame(
      read()
        .slice(1)
        .map((line) => line.split(' x')[0]),
      [...Array.from({ length: 10 }, (_, i) => `${i}`), 'it is back'],
    )
    t.equal(troubles.length, 1)
  },
)

t.test('a disk that hangs holds nobody up, not even a process that ends', async (t) => {
  const path = join(t.testdir(), 'gateway.log')
  let lost = 0
  const bounds = { maxBytes: 1_024, rotateIntervalMs: 1_000, keepFiles: 1, maxPendingBytes: 1_024 }
  const onLost = (lines: number) => {
    lost += lines
  }
  const hanging = new Writable({ write: () => {} }) as unknown as RotatingFileStream
  const file = new LogFile({ path, ...bounds, onTrouble: () => {}, onLost }, () => hanging)
  file.write('first\n')
  await until(() => file.isHanging)
  for (let i = 0; i < 20; i++) file.write(`${'x'.repeat(99)}\n`)
  t.equal(lost, 10)
  file.flushSync()
  await file.flush(1)
  t.notOk(existsSync(path))
})

t.test('what waits is written at once for a process that ends', async (t) => {
  const { file, read } = await opened(t)
  file.write('first\n')
  await file.flush(FLUSH_MS)
  file.write('second\n')
  file.flushSync()
  t.strictSame(read(), ['first', 'second'])
  await file.flush(FLUSH_MS)
  t.strictSame(read(), ['first', 'second'], 'and only once')
})

t.test('a file that somebody has moved away is begun anew when told', async (t) => {
  const { file, read } = await opened(t)
  file.write('before\n')
  await file.flush(FLUSH_MS)
  rmSync(file.path)
  file.reopen()
  file.write('after\n')
  await file.flush(FLUSH_MS)
  t.strictSame(read(), ['after'])
  await file.close(FLUSH_MS)
  await file.close(FLUSH_MS)
})
