import t from 'tap'
import { SessionExpiry } from '../../src/sessions/expiry.js'
import { startScripted } from '../helpers/scripted-agent.js'

t.test('sessions that nobody used for long end, but none that is at work', async (t) => {
  const { app, connect, agent } = await startScripted(t)
  const socket = await connect()
  for (let n = 0; n < 105; n++) await socket.call('sessions.create', {}, `web:${n}`)
  await socket.call('sessions.send', { content: 'work' }, 'web:busy')
  await agent.begun(1)
  const { sessions, journal, log } = app
  const later = Date.now() + 1_000
  const expire = (key: string, cutoff: number) => sessions.expire(key, cutoff)
  let now = later + 60_000
  const expiry = new SessionExpiry({ retentionMs: 60_000, journal, expire, now: () => now, log })
  t.teardown(() => expiry.stop())

  now -= 120_000
  await expiry.run()
  t.equal((await socket.call('sessions.list', { limit: 500 })).sessions.length, 106, 'none is old yet')
  now += 120_000
  await Promise.all([expiry.run(), expiry.run()])
  const left = (await socket.call('sessions.list')).sessions
  t.match(left, [{ key: 'web:busy' }])
  const ended = await socket.all(105, ({ event }) => event === 'session.ended')
  t.ok(ended.every(({ payload }) => payload.reason === 'expired'))

  agent.runs[0]!.reply()
  await socket.event('agent.completed')
  await expiry.run()
  t.same((await socket.call('sessions.list')).sessions, [])
  await expiry.stop()
  await expiry.stop()
})
