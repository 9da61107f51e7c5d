import t from 'tap'
import type { Frame } from '../helpers/socket.js'
import { history, startFaulty } from './harness.js'

/** Hangs, or fails later, for the messages that say so. */
const HOOK = `
import { setTimeout as sleep } from 'node:timers/promises'
export default async function (app) {
  app.on('message:received', async ({ event }) => {
    const { content } = event.payload
    if (content.startsWith('hang')) await new Promise(() => {})
    if (content === 'reject') { await sleep(5); throw new Error('a secret text') }
    if (content === 'late') { await sleep(1_500); event.payload.content = 'changed'; throw new Error('too late') }
  })
  app.on('agent:*', () => new Promise(() => {}))
  app.on('agent:*', async () => { await sleep(1); throw undefined })
}
`

t.test('hooks that hang, or fail later, hold nobody: their events are refused and not stored', async (t) => {
  const gateway = await startFaulty(t, {
    config: { hooks: { timeoutMs: 1_000 }, plugins: [{ module: './hook.mjs' }], lanes: { capacity: 10 } },
    files: { 'hook.mjs': HOOK },
  })
  const polite = await gateway.polite()
  const restored = await gateway.restored()
  const socket = await gateway.connect()
  const send = (content: string, key: string) => socket.request('sessions.send', { content }, key)
  const keys = Array.from({ length: 20 }, (_, i) => `held:${i}:main`)
  const asking = Promise.all(
    keys.flatMap((key) => ['hang', 'good', 'late', 'reject'].map((content) => send(content, key))),
  )
  const answers = await polite.during(asking)
  const of = (i: number) => answers.filter((_, at) => at % 4 === i)
  const refused = { code: 'UNAVAILABLE', retryable: true, retryAfterMs: Number }
  for (const { error } of [...of(0), ...of(2)]) t.match(error, refused)
  for (const { error } of of(1)) t.equal(error, null, 'the one behind it is taken')
  for (const { error } of of(3)) {
    t.match(error, { code: 'FORBIDDEN' })
    t.notMatch(error.message, /secret/)
  }
  t.equal(await gateway.metric('gateway_hook_timeouts_total'), 40)
  t.equal(await gateway.metric('gateway_events_refused_total', { reason: 'hook' }), 60)
  await socket.all(
    20,
    ({ event, sessionKey }: Frame) => event === 'agent.completed' && sessionKey!.startsWith('held'),
  )
  for (const key of keys.slice(0, 3))
    t.same(
      (await history(socket, key)).map(({ content }) => content),
      ['good', 'good'],
    )
  // An event frame is not answered, unless it is refused.
  socket.send({
    type: 'event',
    id: 'e1',
    event: 'message.received',
    sessionKey: 'held:e',
    payload: { content: 'hang' },
  })
  t.match(await socket.next(({ id }) => id === 'e1'), { type: 'response', error: refused })
  // Nor does who hangs up keep anything: its event may be refused when nobody is there to hear it.
  const gone = await gateway.connect()
  gone.send({
    type: 'request',
    id: 'g',
    method: 'sessions.send',
    sessionKey: 'held:g',
    params: { content: 'hang' },
  })
  await gone.call('gateway.ping')
  gone.terminate()
  t.equal((await socket.call('lanes.list')).total, 1, 'its place in the lane is held meanwhile')
  while ((await socket.call('lanes.list')).total > 0) await new Promise(setImmediate)
  socket.terminate()
  await polite.verify(t)
  await restored(t)
})
