import assert from 'node:assert/strict'
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { FileRunningMarks } from '../../src/journal/running-marks.js'
import fc from '../helpers/properties.js'
import { memoryLog, temporaryFolder } from './helpers.js'

const IDS = ['a', 'b', 'c', 'd']

/** Opens marks over one path again and again, as processes would that die: only `close` ends one in order. */
async function startMarks(t: Test) {
  const path = join(await temporaryFolder(t), 'journal.db.running')
  const log = memoryLog()
  const pending = new Set(IDS)
  const open = (epoch = 'e1') => {
    const marks = new FileRunningMarks({ path, epoch, isPending: (id) => pending.has(id), log })
    t.teardown(() => marks.close())
    return marks
  }
  return { path, log, pending, open }
}

const counts = (marks: FileRunningMarks) => IDS.map((id) => marks.crashes(id))

t.test('counts each death for what was begun and neither released nor ended', async (t) => {
  const { open, log } = await startMarks(t)
  for (const deaths of [0, 1, 2, 3]) {
    const marks = open()
    t.strictSame(counts(marks), [deaths, 0, deaths, 0])
    marks.begun(['a', 'b'])
    marks.begun(['c'])
    marks.begun(['c'])
    marks.released(['b', 'd'])
  }
  t.strictSame(log.lines, [])
})

t.test('counts nothing for what a stop interrupts, and keeps what was counted before', async (t) => {
  const { open, path } = await startMarks(t)
  open().begun(['a'])
  const second = open()
  second.begun(['a', 'b'])
  second.close()
  second.close()
  second.begun(['c'])
  t.strictSame(counts(open()), [1, 0, 0, 0])
  open().close()
  t.strictSame(counts(open()), [1, 0, 0, 0])
  t.equal(statSync(path).mode & 0o777, 0o600)
})

t.test('leaves no file behind when it is closed and nothing counts', async (t) => {
  const { open, path } = await startMarks(t)
  const marks = open()
  marks.begun(['a'])
  t.ok(existsSync(path))
  marks.close()
  t.notOk(existsSync(path))
})

t.test('forgets an event that waits no more, and counts anew where it returns', async (t) => {
  const { open, pending } = await startMarks(t)
  open().begun(IDS)
  const marks = open()
  t.strictSame(counts(marks), [1, 1, 1, 1])
  marks.begun(['a', 'b'])
  marks.ended(['a'], false)
  pending.delete('a')
  // Dead letters: one after another try, one without.
  marks.ended(['b', 'c'], true)
  t.strictSame(counts(marks), [0, 0, 0, 1])
  t.strictSame(counts(open()), [0, 0, 0, 1])
})

t.test('passes over a line that was cut off', async (t) => {
  const { open, path, log } = await startMarks(t)
  open().begun(['a'])
  appendFileSync(path, '+ b')
  t.strictSame(counts(open()), [1, 0, 0, 0])
  writeFileSync(path, '')
  t.strictSame(counts(open()), [0, 0, 0, 0])
  t.strictSame(log.lines, [])
})

t.test('ignores what is damaged or not its own, says so, and begins anew', async (t) => {
  const header = 'lurkbot running 1 e1\n'
  const contents = [
    'Dear diary,\n+ a\n',
    `${header.replace('e1', 'e2')}+ a\n`,
    `${header}+ a\nnonsense\n`,
    `${header}+ a\n= b many\n`,
    `${header}+ a\n${'\0'.repeat(4_096)}\n`,
    Buffer.from([0xff, 0xfe, 0x0a, 0x2b]),
  ]
  for (const content of contents) {
    const { open, path, log } = await startMarks(t)
    writeFileSync(path, content)
    const marks = open()
    t.strictSame(counts(marks), [0, 0, 0, 0])
    t.equal(log.lines.length, 1)
    t.match(log.lines[0], { level: 'warn', fields: { path }, message: /list of running events is ignored/ })
    marks.begun(['b'])
    t.strictSame(counts(open()), [0, 1, 0, 0])
  }
})

t.test(
  'goes on without a file where there can be none, says so once, and makes it when it can',
  async (t) => {
    const { open, path, log } = await startMarks(t)
    mkdirSync(path)
    writeFileSync(join(path, 'full'), '')
    const marks = open()
    for (const id of ['a', 'b']) marks.begun([id])
    marks.released(['b'])
    t.equal(log.lines.length, 2)
    t.match(log.lines[1], { level: 'warn', fields: { path }, message: /cannot be kept/ })
    rmSync(path, { recursive: true })
    marks.begun(['c'])
    t.strictSame(counts(open()), [1, 0, 1, 0], 'what was begun in the meantime is in it')
  },
)

t.test('does not fail a start because it cannot ask what waits', async (t) => {
  const { open, path, log } = await startMarks(t)
  open().begun(['a'])
  const isPending = () => {
    throw new Error('the disk is gone')
  }
  const marks = new FileRunningMarks({ path, epoch: 'e1', isPending, log })
  t.teardown(() => marks.close())
  t.equal(marks.crashes('a'), 0)
  t.match(log.lines, [{ level: 'warn' }])
})

t.test('keeps its file bounded however much runs, and loses nothing by it', async (t) => {
  const { open, path, pending } = await startMarks(t)
  open().begun(['b'])
  const marks = open()
  marks.begun(['a'])
  let largest = 0
  for (let n = 0; n < 40_000; n++) {
    const id = `000000000000000000${n}`
    marks.begun([id])
    marks.ended([id], false)
    if (n % 100 === 0) largest = Math.max(largest, statSync(path).size)
  }
  t.ok(largest < 300 * 1024, `${largest} bytes`)
  t.notOk(existsSync(`${path}.new`))
  t.strictSame(counts(open()), [1, 1, 0, 0])
  const many = open()
  const ids = Array.from({ length: 20_000 }, (_, n) => `111111111111111111${n}`)
  for (const id of ids) {
    pending.add(id)
    many.begun([id])
  }
  const again = open()
  t.ok(ids.every((id) => again.crashes(id) === 1))
})

t.test('takes no id that would be more than one', async (t) => {
  const { open, path } = await startMarks(t)
  open().begun(['a b', 'c\n+ d', '', 'a'])
  t.match(readFileSync(path, 'utf8'), /^lurkbot running 1 e1\n\+ a\n$/)
})

type Step = { do: 'begun' | 'released' | 'completed' | 'failed' | 'revived' | 'die' | 'close'; id: string }

/** What the marks should say, as one would keep it by hand. */
class Model {
  readonly state = new Map(IDS.map((id) => [id, { pending: true, dead: false, running: false, crashes: 0 }]))

  take({ do: what, id }: Step, marks: FileRunningMarks): void {
    const event = this.state.get(id)!
    if (what === 'revived' && event.dead) Object.assign(event, { pending: true, dead: false })
    if (what === 'close') marks.close()
    if (what === 'close' || what === 'die') {
      for (const event of this.state.values()) {
        if (event.running && what === 'die') event.crashes += 1
        event.running = false
      }
    }
    if (!event.pending) return
    if (what === 'begun' || what === 'released') {
      marks[what]([id])
      event.running = what === 'begun'
    } else if (what === 'completed' || what === 'failed') {
      const dead = what === 'failed'
      marks.ended([id], dead)
      Object.assign(event, { pending: false, dead, running: false, crashes: 0 })
    }
  }
}

t.test('counts as one would by hand, whatever happens', async (t) => {
  const { path } = await startMarks(t)
  const kinds = [
    'begun',
    'begun',
    'released',
    'completed',
    'failed',
    'revived',
    'die',
    'die',
    'close',
  ] as const
  const step: fc.Arbitrary<Step> = fc.record({ do: fc.constantFrom(...kinds), id: fc.constantFrom(...IDS) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      rmSync(path, { force: true })
      const model = new Model()
      const isPending = (id: string) => model.state.get(id)?.pending === true
      const open = () => new FileRunningMarks({ path, epoch: 'e', isPending, log: memoryLog() })
      const opened = [open()]
      for (const step of steps) {
        model.take(step, opened.at(-1)!)
        if (step.do === 'die' || step.do === 'close') opened.push(open())
        const expected = IDS.map((id) => model.state.get(id)?.crashes)
        assert.deepEqual(counts(opened.at(-1)!), expected)
      }
      for (const marks of opened) marks.close()
    }),
    { numRuns: 200 },
  )
})
