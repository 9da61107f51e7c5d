import { appendFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { LogReader } from '../../src/logs/log-reader.js'

const lines = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `line ${from + i}`)
const text = (from: number, to: number) =>
  lines(from, to)
    .map((line) => `${line}\n`)
    .join('')
const any = () => true

function reader(t: Test, path: string): LogReader {
  const made = new LogReader(path)
  t.teardown(() => made.close())
  return made
}

function follower(t: Test, made: LogReader) {
  const ending = new AbortController()
  t.teardown(() => ending.abort())
  const lines = made.follow(ending.signal)
  const next = async (count: number) => {
    const found: string[] = []
    while (found.length < count) {
      const { value, done } = await lines.next()
      if (done) break
      found.push(value)
    }
    return found
  }
  return { next, end: () => ending.abort() }
}

function rotate(path: string, keep: number): void {
  for (let number = keep; number > 1; number--) {
    try {
      renameSync(`${path}.${number - 1}`, `${path}.${number}`)
    } catch {
      // There are not so many yet.
    }
  }
  renameSync(path, `${path}.1`)
}

t.test('the last lines are read, those of older files where the newest has too few', async (t) => {
  const folder = t.testdir({
    'gateway.log': text(20, 25),
    'gateway.log.1': text(10, 20),
    'gateway.log.2': text(0, 10),
  })
  const path = join(folder, 'gateway.log')
  for (const count of [0, 1, 5, 6, 17, 25, 100]) {
    t.strictSame(await reader(t, path).last(count, any), lines(Math.max(25 - count, 0), 25), `${count}`)
  }
  t.strictSame(await reader(t, path).last(2, (line) => line.endsWith('3')), ['line 13', 'line 23'])
  t.strictSame(await reader(t, join(folder, 'none')).last(5, any), [])
})

t.test('lines longer than what is read at a time, and letters of several bytes, stay whole', async (t) => {
  const long = 'äöü€'.repeat(60_000)
  const path = join(t.testdir({ 'gateway.log': `${long}\nshort\n${long}ß\nunfinished` }), 'gateway.log')
  const made = reader(t, path)
  t.strictSame(await made.last(10, any), [long, 'short', `${long}ß`])
  const { next } = follower(t, made)
  appendFileSync(path, ` €\n${long}\n`)
  t.strictSame(await next(2), ['unfinished €', long])
})

t.test('it follows through one rotation and through several at once, without gap or double', async (t) => {
  const path = join(t.testdir({ 'gateway.log': text(0, 3) }), 'gateway.log')
  const made = reader(t, path)
  t.strictSame(await made.last(1, any), ['line 2'])
  const { next, end } = follower(t, made)
  appendFileSync(path, text(3, 5))
  t.strictSame(await next(2), lines(3, 5))

  appendFileSync(path, text(5, 6))
  rotate(path, 5)
  writeFileSync(path, text(6, 8))
  t.strictSame(await next(3), lines(5, 8))

  for (let at = 8; at < 17; at += 3) {
    rotate(path, 5)
    writeFileSync(path, text(at, at + 3))
  }
  t.strictSame(await next(9), lines(8, 17))

  writeFileSync(path, 'cut\n')
  t.strictSame(await next(1), ['cut'], 'a file that was emptied is read from its beginning')
  const last = next(1)
  end()
  t.strictSame(await last, [])
})

t.test('it waits for a file that is not there yet', async (t) => {
  const path = join(t.testdir(), 'gateway.log')
  const made = reader(t, path)
  t.strictSame(await made.last(10, any), [])
  const { next } = follower(t, made)
  const first = next(1)
  writeFileSync(path, 'at last\n')
  t.strictSame(await first, ['at last'])
})
