import t from 'tap'
import { parseDuration, parseTime, table } from '../../src/cli/cron-text.js'

t.test('durations have a unit, and times may be from now on', async (t) => {
  t.same(['90s', '15m', '2h', '1d'].map(parseDuration), [90_000, 900_000, 7_200_000, 86_400_000])
  for (const text of ['', '5', 'h', '1.5h', '-1s', '1 h', '1w', '9999999999s']) {
    t.throws(() => parseDuration(text), /expected a duration such as/, text)
  }
  t.equal(parseTime('+10m', 1_000), 601_000)
  t.equal(parseTime('2027-01-31T18:00:00Z', 1_000), '2027-01-31T18:00:00Z')
})

t.test('columns stand under each other', async (t) => {
  t.equal(
    table([
      ['a', 'long', ''],
      ['abc', 'b', 'c'],
    ]),
    'a    long\nabc  b     c',
  )
})
