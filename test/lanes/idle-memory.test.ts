import t from 'tap'
import { ANONYMOUS } from '../../src/auth/principal.js'
import { startApp } from '../helpers/app.js'

const SESSIONS = 10_000

t.test('sessions that were used and are idle cost no lane, no timer and no waiter', async (t) => {
  let completed = 0
  let finish = () => {}
  const finished = new Promise<void>((resolve) => {
    finish = resolve
  })
  const { app, connect } = await startApp(
    t,
    { sessions: { cacheSize: 100 } },
    {
      prepare: (app) => {
        app.on('agent:completed', () => {
          if (++completed === SESSIONS) finish()
        })
      },
    },
  )
  const socket = await connect({ subscribe: ['nothing'] })
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  const before = timers()
  await Promise.all(
    Array.from({ length: SESSIONS }, (_, i) =>
      app.intake.accept(
        { type: 'message.received', source: 'ws', sessionKey: `web:${i}`, payload: { content: 'x' } },
        ANONYMOUS,
      ),
    ),
  )
  await finished
  t.equal(app.lanes.dispatcher.size, 0)
  t.equal(app.lanes.dispatcher.pending, 0)
  t.equal(app.lanes.dispatcher.pendingBytes, 0)
  t.equal(app.outcomes.waiting, 0)
  t.equal(timers(), before)
  t.match(await socket.call('gateway.info'), { lanes: { active: 0, running: 0, pending: 0 } })
})
