import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import { eventIdOfRun, idsOfSuffix, newEventIds, newMessageId, suffixOfEvent } from '../../src/journal/ids.js'

const run = promisify(execFile)

t.test('makes ids that differ and sort in the order they were made', async (t) => {
  const ids = Array.from({ length: 50_000 }, () => newEventIds())
  const events = ids.map(({ eventId }) => eventId)
  t.equal(new Set(events).size, events.length)
  t.strictSame([...events].sort(), events)
  for (const { eventId, runId } of ids.slice(0, 10)) {
    t.match(eventId, /^evt_[0-9a-z]{21}$/)
    t.equal(eventIdOfRun(runId), eventId)
    t.strictSame(idsOfSuffix(suffixOfEvent(eventId) ?? ''), { eventId, runId })
  }
  t.match(newMessageId(), /^msg_[0-9a-z]{21}$/)
})

t.test('does not go back with the clock', async (t) => {
  const before = newEventIds().eventId
  const { now } = Date
  t.teardown(() => {
    Date.now = now
  })
  Date.now = () => now() - 60_000
  t.ok(newEventIds().eventId > before)
})

t.test('makes other ids in another process', async (t) => {
  const module = new URL('../../src/journal/ids.js', import.meta.url).href
  const script = `import { newEventIds } from ${JSON.stringify(module)}; console.log(newEventIds().eventId)`
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script])
  t.not(stdout.trim().slice(-8), newEventIds().eventId.slice(-8))
})

t.test('knows what is no id', async (t) => {
  for (const text of ['', 'run_', 'evt_x', 'x']) t.equal(eventIdOfRun(text), null)
  for (const text of ['', 'evt_', 'run_x', 'x']) t.equal(suffixOfEvent(text), null)
})
