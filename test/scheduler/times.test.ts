import t from 'tap'
import { cronTimes } from '../../src/scheduler/cron-times.js'
import { dueOf } from '../../src/scheduler/due.js'
import { type Times, timesOf } from '../../src/scheduler/times.js'
import fc from '../helpers/properties.js'

const MINUTE = 60_000
const DAY = 86_400_000
const iso = (time: number | null) => (time === null ? null : new Date(time).toISOString())
const at = (text: string) => Date.parse(text)

/** The times in `(from, until]`. */
function between(times: Times, from: number, until: number): number[] {
  const found: number[] = []
  for (let next = times.next(from); next !== null && next <= until; next = times.next(next)) found.push(next)
  return found
}

/** The minutes of an hour of the wall clock, of each of the minutes that really pass. */
function wallClock(timeZone: string): (time: number) => { hour: number; minute: number; day: string } {
  const format = new Intl.DateTimeFormat('en-CA', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
  })
  return (time) => {
    const [day, clock] = format.format(time).split(', ')
    const [hour, minute] = clock!.split(':').map(Number)
    return { hour: hour!, minute: minute!, day: day! }
  }
}

t.test('once is once', async (t) => {
  const times = await timesOf({ at: 1_000 })
  t.same([times.next(0), times.next(999), times.next(1_000), times.next(2_000)], [1_000, 1_000, null, null])
  t.same([times.last(999, 5), times.last(1_000, 5), times.last(5_000, 5)], [[], [1_000], [1_000]])
})

t.test('a period is counted from its anchor, in the past or to come, and does not drift', async (t) => {
  const arbitrary = fc.record({
    everyMs: fc.integer({ min: 1_000, max: 100_000 }),
    anchor: fc.nat(1_000_000),
    now: fc.nat(2_000_000),
    count: fc.integer({ min: 1, max: 8 }),
  })
  await fc.assert(
    fc.asyncProperty(arbitrary, async ({ everyMs, anchor, now, count }) => {
      const times = await timesOf({ everyMs, anchor })
      const all = Array.from({ length: 2_200 }, (_, i) => anchor + i * everyMs)
      const past = all.filter((time) => time <= now)
      const next = all.find((time) => time > now)
      return (
        times.next(now) === next &&
        JSON.stringify(times.last(now, count)) === JSON.stringify(past.slice(-count))
      )
    }),
    { numRuns: 200 },
  )
  t.pass()
})

// The changes of clocks of 2026, both ways, in each half of the world; Lord Howe’s is by half an hour.
const CHANGES: readonly (readonly [zone: string, spring: string, autumn: string])[] = [
  ['Europe/Berlin', '2026-03-29T01:00:00Z', '2026-10-25T01:00:00Z'],
  ['America/New_York', '2026-03-08T07:00:00Z', '2026-11-01T06:00:00Z'],
  ['Australia/Lord_Howe', '2026-10-03T15:30:00Z', '2026-04-04T15:00:00Z'],
  ['UTC', '2026-03-29T01:00:00Z', '2026-10-25T01:00:00Z'],
]

t.test('with steps it is each real minute whose wall clock fits, over changes of clocks, too', async (t) => {
  for (const [zone, ...changes] of CHANGES) {
    const wall = wallClock(zone)
    for (const change of changes) {
      const [from, until] = [at(change) - DAY / 2, at(change) + DAY / 2]
      for (const step of [7, 15, 30]) {
        const wanted: number[] = []
        for (let time = from + MINUTE; time <= until; time += MINUTE) {
          if (wall(time).minute % step === 0) wanted.push(time)
        }
        const found = between(cronTimes(`*/${step} * * * *`, zone), from, until)
        t.same(found.map(iso), wanted.map(iso), `every ${step} minutes in ${zone} around ${change}`)
      }
    }
  }
})

t.test('with fixed hours it is once a day, over changes of clocks, too', async (t) => {
  for (const [zone, ...changes] of CHANGES) {
    const wall = wallClock(zone)
    for (const change of changes) {
      const [from, until] = [at(change) - 2 * DAY, at(change) + 2 * DAY]
      for (const [hour, minute] of [
        [1, 30],
        [1, 45],
        [2, 0],
        [2, 15],
        [2, 30],
        [3, 0],
        [12, 0],
      ] as const) {
        const fits = new Map<string, number>()
        for (let time = from + MINUTE; time <= until; time += MINUTE) {
          const { day, ...clock } = wall(time)
          const isPast = clock.hour > hour || (clock.hour === hour && clock.minute >= minute)
          // The first moment of the day at which the wall clock shows the time, or more where it leaps over that.
          if (isPast && !fits.has(day)) fits.set(day, time)
        }
        const name = `${hour}:${minute} in ${zone} around ${change}`
        const found = between(cronTimes(`${minute} ${hour} * * *`, zone), from, until)
        const wanted = [...fits.values()].filter((time) => time > from + DAY / 2)
        t.same(found.filter((time) => time > from + DAY / 2).map(iso), wanted.map(iso), name)
      }
    }
  }
})

t.test('what was missed is what would have come', async (t) => {
  const expressions = [
    '*/7 * * * *',
    '30 2 * * *',
    '30 2,14 * * *',
    '15 1-3 * * *',
    '0 0 1 * *',
    '*/20 * * * * *',
  ]
  const arbitrary = fc.record({
    expression: fc.constantFrom(...expressions),
    change: fc.constantFrom(
      ...CHANGES.flatMap(([zone, ...changes]) => changes.map((c) => [zone, c] as const)),
    ),
    offset: fc.integer({ min: -2 * DAY, max: 2 * DAY }),
    count: fc.integer({ min: 1, max: 5 }),
  })
  fc.assert(
    fc.property(arbitrary, ({ expression, change: [zone, change], offset, count }) => {
      const now = at(change) + offset
      const times = cronTimes(expression, zone)
      const last = times.last(now, count)
      // Whatever comes after one of them comes as the next of them, and nothing comes between the last and now.
      return (
        last.every((time, i) => time <= now && times.next(time) === (last[i + 1] ?? times.next(now))) &&
        times.next((last[0] ?? now) - 1) === (last[0] ?? times.next(now - 1))
      )
    }),
    { numRuns: 150 },
  )
  t.pass()
})

t.test('days that are not in every month are found, and those that are in none are not', async (t) => {
  const next = (expression: string) => iso(cronTimes(expression, 'UTC').next(at('2026-01-31T12:00:00Z')))
  t.equal(next('0 0 29 2 *'), '2028-02-29T00:00:00.000Z')
  t.equal(next('0 0 31 * *'), '2026-03-31T00:00:00.000Z')
  t.equal(next('0 0 L * *'), '2026-02-28T00:00:00.000Z')
  t.equal(next('0 9 * * MON#1'), '2026-02-02T09:00:00.000Z')
  t.equal(next('0 0 30 2 *'), null)
  t.equal(next('@daily'), '2026-02-01T00:00:00.000Z')
})

t.test('whatever was missed, each time is run or left out as the policy says', async (t) => {
  const arbitrary = fc.record({
    misfire: fc.constantFrom('skip' as const, 'once' as const, 'all' as const),
    everyMs: fc.integer({ min: 1_000, max: 50_000 }),
    sinceFrom: fc.nat(400_000),
    graceMs: fc.integer({ min: 1_000, max: 100_000 }),
    maxCatchUp: fc.integer({ min: 1, max: 5 }),
  })
  await fc.assert(
    fc.asyncProperty(arbitrary, async ({ misfire, everyMs, sinceFrom, graceMs, maxCatchUp }) => {
      const from = 7 * everyMs
      const now = from + sinceFrom
      const times = await timesOf({ everyMs, anchor: 0 })
      const all = [from, ...between(times, from, now)]
      const newest = all.at(-1)!
      const { run, missedFrom, next } = dueOf(times, from, now, { misfire, graceMs, maxCatchUp })
      const wanted = {
        skip: now - newest <= graceMs ? [newest] : [],
        once: [newest],
        all: all.slice(-maxCatchUp),
      }[misfire]
      const left = misfire === 'once' ? 0 : all.length - wanted.length
      return (
        JSON.stringify(run.map(({ dueAt }) => dueAt)) === JSON.stringify(wanted) &&
        run.every(({ dueAt, trigger }) =>
          trigger === 'schedule' ? dueAt === newest && now - dueAt <= graceMs : true,
        ) &&
        missedFrom === (left > 0 ? from : null) &&
        next === times.next(newest)
      )
    }),
    { numRuns: 300 },
  )
  t.pass()
})
