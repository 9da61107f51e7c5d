import type { TSchema } from '@sinclair/typebox'
import t from 'tap'
import { CancelFrame, HelloFrame, InboundEventFrame } from '../../src/protocol/index.js'
import { arbitraryOf } from '../helpers/arbitrary-of.js'
import { expectation, junk, type Mutation, mutate, mutation } from '../helpers/fuzzing.js'
import fc, { GATE_SEED } from '../helpers/properties.js'
import type { Frame } from '../helpers/socket.js'
import { startFaulty } from './harness.js'
import { SEEDS } from './seeds.js'

/** More of them: `FUZZ_RUNS=5000 node dist/test/fault/fuzz.test.js`; those of a failure again: `FUZZ_SEED=…`. */
const RUNS = Number(process.env.FUZZ_RUNS ?? 200)
const SEED = process.env.FUZZ_SEED === undefined ? GATE_SEED : Number(process.env.FUZZ_SEED)
t.setTimeout(60_000 + RUNS * 200)

/** Fails for good, at once, or answers after a moment. */
const AGENT = `
export default async function (event) {
  if (String(event.payload.content).startsWith('fail')) throw new Error('on purpose')
  await new Promise((resolve) => setTimeout(resolve, 2))
  return 'answer'
}
`

const gateway = await startFaulty(t, {
  config: {
    defaultAgent: 'some',
    agents: { some: { type: 'module', path: './some.mjs', timeoutMs: 500, retry: { attempts: 1 } } },
    lanes: { capacity: 20 },
  },
  files: { 'some.mjs': AGENT },
})
const polite = await gateway.polite()
const control = await gateway.connect({ subscribe: [] })
const KEYS = ['a:1', 'a:1:main', 'b:2:main', 'dead:1']
const { methods } = (await control.call('methods.list')) as { methods: { name: string; params: TSchema }[] }

/** Things that exist, by the name that params have for them: made up, nearly all would be unknown. */
const known = { runId: [] as string[], eventId: [] as string[], cursor: [] as string[] }
type Known = keyof typeof known
const PER_NAME = 12

for (const key of KEYS) {
  for (let i = 0; i < 3; i++) {
    const content = key.startsWith('dead') ? `fail ${i}` : `m${i}`
    const sent = await control.call('sessions.send', { content, wait: true }, key)
    known.runId.push(sent.runId)
    known.eventId.push(sent.eventId)
    const { nextCursor } = await control.call('sessions.history', { limit: 1 }, key)
    known.cursor.push(nextCursor ?? 'none')
  }
}
for (const [i, method] of ['sessions.list', 'deadLetters.list'].entries())
  known.cursor[i] = (await control.call(method, { limit: 1 })).nextCursor

/** Params of a schema, in which `@runId 3` and the like stand for things that exist. */
function paramsOf(schema: TSchema): fc.Arbitrary<object> {
  const properties = Object.keys((schema.properties ?? {}) as object)
  const names = (Object.keys(known) as Known[]).filter((name) => properties.includes(name))
  const picks = fc.array(fc.nat(PER_NAME * 2), { minLength: names.length, maxLength: names.length })
  return fc.tuple(arbitraryOf(schema) as fc.Arbitrary<object>, picks).map(([params, chosen]) => {
    const replaced = names.flatMap((name, i) =>
      chosen[i]! < PER_NAME ? [[name, `@${name} ${chosen[i]}`]] : [],
    )
    return { ...params, ...Object.fromEntries(replaced) }
  })
}

const mutations = fc.oneof(
  { weight: 1, arbitrary: fc.constant<Mutation[]>([]) },
  { weight: 1, arbitrary: fc.array(mutation, { minLength: 1, maxLength: 3 }) },
)
const sessionKey = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom<unknown>(...KEYS, 'new:1', null) },
  { weight: 1, arbitrary: junk },
)

/** The text of a request for one of the methods, its params broken or not. */
const callText = fc
  .tuple(
    fc.oneof(...methods.map(({ name, params }) => fc.tuple(fc.constant(name), paramsOf(params)))),
    mutations,
    sessionKey,
    fc.nat(999),
  )
  .map(([[method, params], some, key, id]) => {
    const envelope = JSON.stringify({ type: 'request', id: `r${id}`, method, sessionKey: key })
    return `${envelope.slice(0, -1)},"params":${mutate(params, some)}}`
  })
const otherText = fc
  .tuple(fc.oneof(...[InboundEventFrame, CancelFrame, HelloFrame].map(arbitraryOf), junk), mutations)
  .map(([frame, some]) => mutate(frame, some))
const texts = fc.array(fc.oneof({ weight: 9, arbitrary: callText }, { weight: 1, arbitrary: otherText }), {
  minLength: 1,
  maxLength: 40,
  size: 'max',
})

const concrete = (text: string) =>
  text.replace(/@(runId|eventId|cursor) (\d+)/g, (_all, name: Known, i) => known[name][Number(i) % PER_NAME]!)

/** Whether a request may rightly be unanswered for as long as a run takes. */
function waits(text: string): boolean {
  return /"agent\.(wait|abort)"|"wait"\s*:\s*true/.test(text)
}

const BAD_FRAMES_ALLOWED = 20

/** Sends them all, and says what broke the protocol's promise; null: nothing did. */
async function tryOut(given: readonly string[]): Promise<string | null> {
  const socket = await gateway.connect({ subscribe: [] })
  const sent = given.map(concrete)
  const expected = new Map<string, { least: number; most: number }>()
  for (const text of sent) {
    const { id, answers } = expectation(text)
    if (id !== null) {
      const { least, most } = expected.get(id) ?? { least: 0, most: 0 }
      expected.set(id, { least: least + (waits(text) ? 0 : answers[0]), most: most + answers[1] })
    }
    socket.send(text)
  }
  socket.send({ type: 'request', id: 'the last one', method: 'gateway.ping' })
  const last = await socket.next(({ id }) => id === 'the last one').catch(() => null)
  if (last === null) {
    const { code } = await socket.closed
    return code === 4400 && sent.length > BAD_FRAMES_ALLOWED ? null : `closed with ${code}`
  }
  const answersTo = (wanted: string) =>
    socket.frames.filter(({ type, id }: Frame) => type === 'response' && id === wanted)
  for (const [id, { least }] of expected)
    while (answersTo(id).length < least) await socket.next((frame) => frame.id === id, socket.frames.length)
  const live = await socket.call('gateway.ping', { data: 'alive' })
  socket.terminate()
  // Whoever comes next finds lanes that go on.
  if (sent.some((text) => text.includes('lanes.pause')))
    for (const key of [...KEYS, 'new:1']) await control.request('lanes.resume', {}, key)
  const internal = socket.frames.find(({ error }) => error?.code === 'INTERNAL_ERROR')
  if (internal !== undefined) return `INTERNAL_ERROR: ${JSON.stringify(internal)}`
  for (const [id, { most }] of expected)
    if (answersTo(id).length > most) return `${answersTo(id).length} answers to ${JSON.stringify(id)}`
  return live.data === 'alive' ? null : `an odd pong: ${JSON.stringify(live)}`
}

const calls = fc.asyncProperty(texts, async (given) => {
  const problem = await tryOut(given)
  if (problem !== null) throw new Error(problem)
})

for (const { seed, path, why } of SEEDS) {
  t.test(`what once failed does no more: ${why}`, async (t) => {
    await fc.assert(calls, { seed, path, numRuns: path === undefined ? RUNS : 1 })
    t.pass()
  })
}

t.test('whatever is asked of any method is answered once, as documented, and harms nobody', async (t) => {
  t.setTimeout(60_000 + RUNS * 200)
  await polite.during(fc.assert(calls, { seed: SEED, numRuns: RUNS }))
  await polite.verify(t)
  const { lanes } = await control.call('gateway.info')
  t.ok(lanes.pending < 100)
  const bad = gateway.process
    .output()
    .split('\n')
    .filter((line) => /"level":[56]0/.test(line) && !line.includes('"agent failed"'))
  t.same(bad, [], 'the log has no error of the gateway’s own')
})
