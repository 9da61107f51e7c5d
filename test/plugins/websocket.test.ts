import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { startApp } from '../helpers/app.js'

t.test(
  'a send that is on its way to a slow disk when the drain is over is answered, not refused',
  async (t) => {
    const config = { shutdown: { drainTimeoutMs: 1 }, lanes: { abortGraceMs: 1 } }
    const { app, connect } = await startApp(t, config)
    const socket = await connect()
    const { journal } = app
    const append = journal.append.bind(journal)
    let asked = () => {}
    const isAsked = new Promise<void>((resolve) => {
      asked = resolve
    })
    journal.append = async (request) => {
      asked()
      await delay(100)
      return append(request)
    }
    const sent = socket.call('sessions.send', { content: 'late' }, 'web:1:main')
    await isAsked
    await app.close()
    t.match(await sent, { runId: String, seq: Number })
  },
)
