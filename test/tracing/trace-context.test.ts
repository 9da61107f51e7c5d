import t from 'tap'
import {
  formatTraceparent,
  idsOfTrace,
  logFieldsOf,
  packTrace,
  readTrace,
  unpackTrace,
} from '../../src/tracing/trace-context.js'
import fc from '../helpers/properties.js'

const PARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'

const hex = (length: number) =>
  fc
    .string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length })
    .filter((text) => !/^0+$/.test(text))
const ids = fc.record(
  { traceId: hex(32), spanId: hex(16), flags: fc.integer({ min: 0, max: 3 }) },
  { noNullPrototype: true },
)
const member = fc
  .tuple(fc.stringMatching(/^[a-z][a-z0-9_*/-]{0,20}$/), fc.stringMatching(/^[!-+\--<>-~]{1,20}$/))
  .map(([key, value]) => `${key}=${value}`)
const state = fc.array(member, { minLength: 1, maxLength: 10 }).map((members) => members.join(','))

t.test('what is written is read as it was, also from the journal', async () => {
  fc.assert(
    fc.property(ids, fc.option(state, { nil: undefined }), (parts, tracestate) => {
      const traceparent = formatTraceparent(parts)
      const trace = readTrace(traceparent, tracestate)
      t.strictSame(trace, tracestate === undefined ? { traceparent } : { traceparent, tracestate })
      t.strictSame(idsOfTrace(trace!), parts)
      t.strictSame(unpackTrace(packTrace(trace!)!), trace)
    }),
    { numRuns: 100 },
  )
})

t.test('whatever comes is read without a word, and is well-formed or nothing', async (t) => {
  const nearly = fc
    .tuple(fc.nat(54), fc.string({ minLength: 1, maxLength: 2 }))
    .map(([at, text]) => PARENT.slice(0, at) + text + PARENT.slice(at + text.length))
  const anything = fc.oneof(fc.anything(), fc.string(), nearly)
  let ignored = 0
  fc.assert(
    fc.property(anything, fc.oneof(fc.anything(), fc.string(), state), (traceparent, tracestate) => {
      const trace = readTrace(traceparent, tracestate)
      if (trace === null) {
        ignored++
        return
      }
      t.match(trace.traceparent, /^00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]$/)
      t.strictSame(readTrace(trace.traceparent, trace.tracestate), trace)
      t.ok((trace.tracestate ?? '').length <= 512)
    }),
    { numRuns: 500 },
  )
  t.ok(ignored > 0)
})

t.test('a later version is read as far as it is known; of this one nothing may follow', async (t) => {
  t.strictSame(readTrace(`cc${PARENT.slice(2)}-what-will-be`, undefined), { traceparent: PARENT })
  t.strictSame(readTrace(`cc${PARENT.slice(2)}`, undefined), { traceparent: PARENT })
  t.strictSame(readTrace(`${PARENT.slice(0, -2)}ff`, undefined), {
    traceparent: `${PARENT.slice(0, -2)}03`,
  })
  for (const bad of [
    `ff${PARENT.slice(2)}`,
    `${PARENT}-more`,
    `cc${PARENT.slice(2)}more`,
    PARENT.toUpperCase(),
    PARENT.replace(/-4.*?-/, `-${'0'.repeat(32)}-`),
    PARENT.replace('00f067aa0ba902b7', '0'.repeat(16)),
    `${PARENT}, ${PARENT}`,
    '',
  ]) {
    t.equal(readTrace(bad, undefined), null, bad)
  }
})

t.test('of a state that is malformed nothing is kept, of one that is too long what fits', async (t) => {
  const stateOf = (given: unknown) => readTrace(PARENT, given)?.tracestate
  t.equal(stateOf(' a=1 ,, b=2\t'), 'a=1,b=2')
  t.equal(stateOf('fw529a3039@dt=FfIAAAAB'), 'fw529a3039@dt=FfIAAAAB')
  for (const bad of ['', ',', 'a', 'A=1', 'a=1,b', 'a=\n', 'a=ü', 1, null, ['a=1']]) {
    t.equal(stateOf(bad), undefined, String(bad))
  }
  t.equal(stateOf(Array.from({ length: 33 }, (_, n) => `k${n}=1`).join(',')), undefined)
  const long = `long=${'x'.repeat(200)}`
  const short = Array.from({ length: 10 }, (_, n) => `k${n}=${'y'.repeat(60)}`)
  t.equal(stateOf([long, ...short].join(',')), short.slice(0, 8).join(','))
  t.equal(stateOf(`a=${'x'.repeat(10_000)}`), undefined)
})

t.test('a log line names the trace and the span as OpenTelemetry does', async (t) => {
  t.strictSame(logFieldsOf({ traceparent: PARENT }), {
    trace_id: '4bf92f3577b34da6a3ce929d0e0e4736',
    span_id: '00f067aa0ba902b7',
  })
})
