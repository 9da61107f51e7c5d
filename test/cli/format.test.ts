import t from 'tap'
import { formatDuration, printable } from '../../src/cli/format.js'

t.test('a duration is said in its two largest units', async (t) => {
  const seconds: [number, string][] = [
    [0, '0 s'],
    [59, '59 s'],
    [67, '1 min 7 s'],
    [3_600, '1 h'],
    [7_500, '2 h 5 min'],
    [90_000, '1 d 1 h'],
  ]
  for (const [value, text] of seconds) t.equal(formatDuration(value * 1000 + 999), text)
})

t.test('text from elsewhere cannot steer the terminal', async (t) => {
  t.equal(printable('a\u001b[2Jb\u0007c\rd\u009b31me'), 'a[2Jbcd31me')
  t.equal(printable('tab\tand\nline\r\nbreaks, ünïcödé 🙂'), 'tab\tand\nline\nbreaks, ünïcödé 🙂')
})
