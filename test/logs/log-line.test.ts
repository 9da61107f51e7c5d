import { pino } from 'pino'
import t from 'tap'
import { createLogRedactor } from '../../src/logs/log-line.js'
import { LogTap } from '../../src/logs/log-tap.js'
import { testConfig } from '../helpers/app.js'

t.test('no secret is in what a logger writes, and the rest is as it was', async (t) => {
  const openai = { type: 'openai', baseUrl: 'http://127.0.0.1:1', model: 'm', apiKeyEnv: 'MY_KEY' }
  const config = testConfig({
    auth: { tokens: ['a-configured-token'] },
    agents: { helper: openai },
  })
  const tap = new LogTap()
  tap.redactor = createLogRedactor(config, { MY_KEY: 'sk of "the" environment' })
  const written: string[] = []
  const log = pino(
    { hooks: { streamWrite: tap.write }, base: null, timestamp: false },
    { write: (line) => void written.push(line) },
  )
  log.info({ sessionKey: 'a:b', count: 1 }, 'plain')
  log.info({ err: new Error('refused: Bearer abcdefghij') }, 'got a-configured-token')
  log.info(
    { apiKey: 'x', options: { headers: { a: 'b' }, url: 'https://me:pw@host/' } },
    'sk of "the" environment',
  )
  const lines = written.map((line) => JSON.parse(line))
  t.strictSame(lines[0], { level: 30, sessionKey: 'a:b', count: 1, msg: 'plain' })
  t.match(lines[1], { level: 30, err: { message: 'refused: Bearer [redacted]' }, msg: 'got [redacted]' })
  t.strictSame(lines[2], {
    level: 30,
    apiKey: '[redacted]',
    options: { headers: '[redacted]', url: 'https://[redacted]@host/' },
    msg: '[redacted]',
  })
  log.info({ got: `lbt_${'a'.repeat(43)}` }, `lbd_${'-'.repeat(43)} of a device, not lbt_ of tok_1`)
  t.match(JSON.parse(written[3]!), { got: '[redacted]', msg: '[redacted] of a device, not lbt_ of tok_1' })
  for (const line of written) t.ok(line.endsWith('}\n') && !line.slice(0, -1).includes('\n'))
  t.strictSame(tap.last(4), written, 'what is kept is without them as well')
  t.equal(
    tap.redactor.text('sk of "the" environment at https://me:pw@host'),
    '[redacted] at https://[redacted]@host',
  )
})
