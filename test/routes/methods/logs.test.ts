import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Value } from '@sinclair/typebox/value'
import t, { type Test } from 'tap'
import { createLogRedactor } from '../../../src/logs/log-line.js'
import { LogLine } from '../../../src/protocol/index.js'
import { type ConfigOverrides, startApp, testConfig } from '../../helpers/app.js'
import { tapped } from '../../helpers/tapped-log.js'
import { until } from '../../helpers/until.js'

async function startTapped(t: Test, overrides: ConfigOverrides = {}) {
  const { tap, logger } = tapped()
  return { ...(await startApp(t, overrides, { logger, logs: tap })), logger, tap }
}

const secret = (name: string) => `${name}-token-0123456789`

t.test('the token that the gateway has made for itself is in no line', async (t) => {
  const { tap, logger } = tapped()
  tap.redactor = createLogRedactor(testConfig(), {})
  const { connect, home } = await startApp(t, { auth: { enabled: true } }, { logger, logs: tap })
  const token = (await readFile(join(home, 'token'), 'utf8')).trim()
  const socket = await connect({ auth: { token } })
  logger.info({ of: token }, `asked with ${token}`)
  t.notOk(tap.last(1)[0]!.includes(token), 'nor in what is written')
  const { lines } = await socket.call('logs.tail', { limit: 1 })
  t.match(lines, [{ message: 'asked with [redacted]', fields: { of: '[redacted]' } }])
  tap.redactor = null
  logger.info(`asked with ${token}`)
  t.match(await socket.event('log'), { payload: { message: 'asked with [redacted]' } })
})

t.test('logs.tail gives the last lines, then each as it is logged, until logs.untail', async (t) => {
  const { connect, logger } = await startTapped(t)
  const socket = await connect({ subscribe: [] })
  logger.info('not this')
  logger.warn({ peer: 'x' }, 'before')
  const { lines } = await socket.call('logs.tail', { level: 'warn', limit: 1 })
  t.match(lines, [{ level: 'warn', message: 'before', fields: { peer: 'x' }, at: Number }])
  logger.info('nor this')
  logger.error('after')
  const event = await socket.event('log')
  t.match(event, { sessionKey: null, payload: { level: 'error', message: 'after', fields: {} } })
  t.strictSame([...Value.Errors(LogLine, event.payload)], [])
  t.notOk('seq' in event)
  t.strictSame(
    (await socket.call('logs.tail', { level: 'debug', limit: 0 })).lines,
    [],
    'again: another level',
  )
  logger.debug('low')
  await socket.event('log', ({ payload }) => payload.message === 'low')
  t.strictSame(await socket.call('logs.untail'), {})
  t.strictSame(await socket.call('logs.untail'), {}, 'twice is fine')
  logger.fatal('never')
  await socket.call('gateway.ping')
  t.strictSame(
    socket.events().map(({ payload }) => payload.message),
    ['after', 'low'],
  )
})

t.test('only the connection that asked gets the lines, and none after it has ended', async (t) => {
  const { connect, logger, app } = await startTapped(t)
  const socket = await connect({ subscribe: [] })
  const other = await connect()
  await socket.call('logs.tail')
  logger.info('for one')
  await socket.event('log')
  await other.call('gateway.ping')
  t.strictSame(other.events(), [])
  socket.terminate()
  await until(() => app.connections.size === 1)
  logger.info('for nobody')
  const { lines } = await other.call('logs.tail', { limit: 1 })
  t.match(lines, [{ message: 'for nobody' }])
})

t.test('the log is for administrators of all sessions', async (t) => {
  const { connect } = await startTapped(t, {
    auth: {
      tokens: [
        { token: secret('operator'), role: 'operator' },
        { token: secret('confined'), role: 'admin', sessions: ['web:*'] },
      ],
    },
  })
  for (const name of ['operator', 'confined']) {
    const socket = await connect({ auth: { token: secret(name) } })
    t.match(await socket.refused('logs.tail'), { code: 'FORBIDDEN' }, name)
  }
})

t.test('tokens of the configuration do not show, wherever they are logged', async (t) => {
  const { connect, logger } = await startTapped(t, {
    auth: { tokens: [{ token: secret('admin'), role: 'admin' }] },
  })
  const socket = await connect({ auth: { token: secret('admin') } })
  logger.info(`before ${secret('admin')}`)
  const { lines } = await socket.call('logs.tail')
  logger.info({ token: 'abc', note: `after ${secret('admin')}` }, 'x')
  await socket.event('log')
  t.match(JSON.stringify(lines), 'before [redacted]')
  const all = JSON.stringify(socket.frames)
  t.notOk(all.includes(secret('admin')))
  t.notOk(all.includes('abc'))
})

t.test('who reads slowly loses lines and hears how many; nobody waits for it', async (t) => {
  const { connect, logger, app } = await startTapped(t, { connection: { maxBufferedBytes: 65_536 } })
  const slow = await connect({ subscribe: [] })
  const polite = await connect({ subscribe: [] })
  await slow.call('logs.tail', { limit: 0 })
  slow.socket.pause()
  const text = 'x'.repeat(2_000)
  let sent = 0
  const before = app.connections.flusher.stats.deltasDropped
  // The system's own buffers come first.
  while (app.connections.flusher.stats.deltasDropped - before < 100 && sent < 100_000) {
    for (let i = 0; i < 100; i++) logger.info({ n: sent++ }, text)
    await polite.call('gateway.ping')
  }
  const dropped = app.connections.flusher.stats.deltasDropped - before
  t.ok(dropped >= 100)
  slow.socket.resume()
  // Until it has read enough, the next ones are lost as well.
  await until(() => [...app.connections].every(({ outbox }) => !outbox.congested))
  logger.info('the last')
  const last = await slow.event('log', ({ payload }) => payload.message === 'the last')
  t.ok(last.dropped >= 100)
  const lost = slow.events().reduce((sum, event) => sum + (event.dropped ?? 0), 0)
  t.equal(slow.events().length + lost, sent + 1, 'each line came or was counted')
})
