import t from 'tap'
import { readRetryAfter, sanitise } from '../../../src/agents/backend/failures.js'

t.test('Retry-After is read as seconds, date or milliseconds, bounded', async (t) => {
  const now = Date.parse('2030-01-01T00:00:00Z')
  const read = (headers: Record<string, string>) => readRetryAfter(new Headers(headers), now)
  t.equal(read({ 'retry-after': '7' }), 7_000)
  t.equal(read({ 'retry-after': '0' }), 0)
  t.equal(read({ 'retry-after': '1.5' }), 1_500)
  t.equal(read({ 'retry-after': 'Tue, 01 Jan 2030 00:00:30 GMT' }), 30_000)
  t.equal(read({ 'retry-after': 'Mon, 31 Dec 2029 00:00:00 GMT' }), 0)
  t.equal(read({ 'retry-after': '99999999999' }), 3_600_000)
  t.equal(read({ 'retry-after': 'Tue, 01 Jan 2075 00:00:00 GMT' }), 3_600_000)
  t.equal(read({ 'retry-after': '7', 'retry-after-ms': '250.2' }), 251)
  t.equal(read({ 'retry-after': 'soon' }), undefined)
  t.equal(read({}), undefined)
})

t.test('a message is cut, has one line and none of the secrets', async (t) => {
  t.equal(sanitise('a\r\n\tb\u0000\u2028c', [], 10), 'a b c')
  t.equal(sanitise('abcdef', [], 3), 'abc…')
  t.equal(sanitise('the k3y and the k3y', ['k3y'], 100), 'the [redacted] and the [redacted]')
  t.equal(sanitise('sk-abcd****wxyz is wrong', [], 100), '[redacted] is wrong')
  t.equal(sanitise('see https://u:p@h/x', [], 100), 'see https://[redacted]@h/x')
})
