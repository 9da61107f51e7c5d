import t from 'tap'
import { startApp } from '../helpers/app.js'
import { captureLog } from '../helpers/log.js'

const event = (id: string, fields: object = {}) => ({
  type: 'event',
  id,
  event: 'message.received',
  payload: { content: `from ${id}` },
  sessionKey: 'test:1:main',
  ...fields,
})

t.test('an event frame is handled like any event, and nothing answers it', async (t) => {
  const { connect } = await startApp(t)
  const socket = await connect()
  socket.send(event('e1', { at: 5, note: 'unknown' }))
  socket.send(event('e2', { sessionKey: undefined, session_key: 'test:2:main' }))
  await socket.event(
    'session.message',
    (frame) => frame.sessionKey === 'test:1:main' && frame.payload.role === 'assistant',
  )
  await socket.event(
    'session.message',
    (frame) => frame.sessionKey === 'test:2:main' && frame.payload.role === 'assistant',
  )
  await socket.call('gateway.ping')
  t.strictSame(
    socket.frames.filter((frame) => frame.type === 'response' && frame.result?.pong !== true),
    [],
  )
})

t.test('a refused one is answered with a response of its id', async (t) => {
  const { connect } = await startApp(t, {
    auth: {
      tokens: [
        { token: 'reader', role: 'viewer' },
        { token: 'confined', scopes: ['read', 'write'], sessions: ['mine:*'] },
      ],
    },
  })
  const reader = await connect({ auth: { token: 'reader' } })
  reader.send(event('e1'))
  t.match(await reader.next((frame) => frame.id === 'e1'), {
    type: 'response',
    result: null,
    error: { code: 'FORBIDDEN' },
  })
  const confined = await connect({ auth: { token: 'confined' } })
  confined.send(event('e1', { sessionKey: 'mine:1' }))
  confined.send(event('e2'))
  confined.send(event('e3', { sessionKey: 'mine:1', payload: { content: '' } }))
  t.match(await confined.next((frame) => frame.id === 'e2'), { error: { code: 'FORBIDDEN' } })
  t.match(await confined.next((frame) => frame.id === 'e3'), {
    error: { code: 'INVALID_REQUEST', message: /payload\.content/ },
  })
  t.notOk(confined.frames.some((frame) => frame.id === 'e1'))
})

t.test('past the lane’s room it is UNAVAILABLE with the time to wait', async (t) => {
  const { connect, app } = await startApp(t, { lanes: { capacity: 2 } })
  const socket = await connect()
  await socket.call('sessions.create', {}, 'test:1:main')
  await socket.call('lanes.pause', {}, 'test:1:main')
  for (let i = 0; i < 4; i++) socket.send(event(`e${i}`))
  for (const id of ['e2', 'e3']) {
    const { error } = await socket.next((frame) => frame.id === id)
    t.match(error, { code: 'UNAVAILABLE', retryable: true })
    t.ok(error.retryAfterMs > 0)
  }
  t.equal(app.lanes.dispatcher.pending, 2)
})

t.test('one that fails inside is logged under its id and says nothing', async (t) => {
  const { logger, lines } = captureLog()
  const { connect, app } = await startApp(t, {}, { logger })
  const socket = await connect()
  app.journal.append = () => Promise.reject(new Error('the disk is on fire'))
  socket.send(event('burning'))
  const answer = await socket.next((frame) => frame.id === 'burning')
  t.match(answer, { error: { code: 'INTERNAL_ERROR' } })
  t.notMatch(JSON.stringify(answer), /fire/)
  t.match(
    lines.find(({ requestId }) => requestId === 'burning'),
    { level: 50, err: { message: /fire/ } },
  )
})
