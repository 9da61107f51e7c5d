import { Writable } from 'node:stream'
import { pino } from 'pino'
import t from 'tap'
import { lineReader } from '../../src/logs/log-line.js'
import { LogTap, MAX_LINE_LENGTH } from '../../src/logs/log-tap.js'
import { testConfig } from '../helpers/app.js'
import { tapped } from '../helpers/tapped-log.js'

const texts = (lines: readonly string[]) => lines.map((line) => JSON.parse(line).msg)

t.test('the newest lines are kept, oldest first, as many as are asked for', async (t) => {
  const { tap, logger } = tapped()
  tap.keep(3)
  for (let i = 0; i < 8; i++) logger.info(`m${i}`)
  t.strictSame(texts(tap.last(10)), ['m5', 'm6', 'm7'])
  t.strictSame(texts(tap.last(2)), ['m6', 'm7'])
  t.strictSame(tap.last(0), [])
  tap.keep(2)
  t.strictSame(texts(tap.last(10)), ['m6', 'm7'])
  tap.keep(4)
  for (let i = 8; i < 11; i++) logger.info(`m${i}`)
  t.strictSame(texts(tap.last(10)), ['m7', 'm8', 'm9', 'm10'])
})

t.test('lines are told by level, those of child loggers as well, and go where they went', async (t) => {
  const written: string[] = []
  const stream = new Writable({
    write(chunk, _encoding, done) {
      written.push(chunk.toString())
      done()
    },
  })
  const tap = new LogTap()
  const logger = pino({ level: 'debug', hooks: { streamWrite: tap.write } }, stream)
  logger.trace('not logged')
  logger.debug('low')
  logger.child({ part: 'a' }).error('high')
  t.strictSame(texts(tap.last(10)), ['low', 'high'])
  t.strictSame(texts(tap.last(10, 50)), ['high'])
  t.strictSame(written, tap.last(10))
})

t.test('who follows is told until it does not, and what it logs itself is kept but not told', async (t) => {
  const { tap, logger } = tapped()
  const told: string[] = []
  const follower = (line: string, level: number) => {
    told.push(`${level} ${JSON.parse(line).msg}`)
    logger.warn('by the follower')
  }
  tap.follow(follower)
  logger.info('one')
  logger.error('two')
  tap.unfollow(follower)
  tap.unfollow(follower)
  logger.info('three')
  t.strictSame(told, ['30 one', '50 two'])
  t.strictSame(texts(tap.last(10)), ['one', 'by the follower', 'two', 'by the follower', 'three'])
})

t.test('what is read of a line has no secrets', async (t) => {
  const config = testConfig({
    auth: { tokens: [{ name: 'ci', token: 'tok-"quoted"-123456' }] },
    agents: { helper: { type: 'openai', apiKeyEnv: 'THE_KEY' } as { type: string } },
  })
  const read = lineReader(config, { THE_KEY: 'sk-value-of-the-key' })
  const { tap, logger } = tapped()
  const secrets = ['tok-"quoted"-123456', 'sk-value-of-the-key', 'hunter22', 'someone:pw', 'eyJhbGciOi.J9']
  logger.info({ text: `a ${secrets[0]} b`, deep: [{ why: `key ${secrets[1]}` }] }, `said ${secrets[0]}`)
  logger.warn({ apiKey: secrets[2], headers: { accept: secrets[2] }, nested: { password: secrets[2] } }, 'x')
  logger.error({ url: 'https://someone:pw@host/path' }, `Bearer ${secrets[4]}`)
  logger.info({ authorization: secrets[2], big: 'x'.repeat(MAX_LINE_LENGTH) }, 'cut')
  logger.info({ err: new Error(`refused ${secrets[1]}`), sessionKey: 'web:1:main', tokens: 7 }, 'failed')
  const lines = tap.last(10).map(read)
  const all = JSON.stringify(lines)
  for (const secret of secrets) t.notOk(all.includes(JSON.stringify(secret).slice(1, -1)), secret)
  t.match(lines[0], { level: 'info', at: Number, message: 'said [redacted]' })
  t.match(lines[2]!.fields, { url: 'https://[redacted]@host/path' })
  t.match(lines[3], { level: 'info', fields: { cut: true } })
  t.match(lines[4]!.fields, { sessionKey: 'web:1:main', tokens: 7, err: { type: 'Error' } })
  t.notOk('pid' in lines[0]!.fields)
})

t.test('a line is bounded, however long it was', async (t) => {
  const { tap, logger } = tapped()
  logger.info({ text: 'x'.repeat(1_000_000) }, 'long')
  logger.info('y'.repeat(5_000))
  t.equal(tap.last(2)[0]!.length, MAX_LINE_LENGTH)
  for (const line of tap.last(2).map(lineReader(testConfig(), {}))) {
    t.ok(JSON.stringify(line).length < 2_500)
    t.equal(line.level, 'info')
  }
})
