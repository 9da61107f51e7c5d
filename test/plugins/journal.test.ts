import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { GatewayError } from '../../src/protocol/errors.js'
import { startScripted } from '../helpers/scripted-agent.js'

const KEY = 'web:1:main'
const COUNT = 'gateway_dead_letters'
const AGE = 'gateway_dead_letter_oldest_age_seconds'

/** The value of a metric without labels; undefined: the page does not have it. */
async function metric(app: FastifyInstance, name: string): Promise<number | undefined> {
  const { body, statusCode } = await app.inject('/metrics')
  if (statusCode !== 200) throw new Error(`the scrape failed: ${body}`)
  const line = body.split('\n').find((line) => line.startsWith(`${name} `))
  return line === undefined ? undefined : Number(line.split(' ')[1])
}

t.test('dead letters are counted, and so is how long the oldest one has been dead', async (t) => {
  const { app, connect, agent } = await startScripted(t)
  t.equal(await metric(app, COUNT), 0)
  t.equal(await metric(app, AGE), 0)
  agent.onRun = (run) => run.fail(new GatewayError('NOT_LINKED', 'no key'))
  const socket = await connect()
  const send = () => socket.call('sessions.send', { content: 'x', wait: true }, KEY)
  const before = Date.now()
  const { eventId } = await send()
  await send()
  t.equal(await metric(app, COUNT), 2)
  const age = (await metric(app, AGE)) ?? -1
  t.ok(age >= 0 && age <= (Date.now() - before) / 1_000, `${age} s`)
  await socket.call('deadLetters.discard', { eventId })
  t.equal(await metric(app, COUNT), 1)
})

t.test('a journal that cannot be read leaves its dead letters out of the page, not the page', async (t) => {
  const { app } = await startScripted(t)
  const stats = app.journal.deadLetterStats.bind(app.journal)
  app.journal.deadLetterStats = () => Promise.reject(new GatewayError('UNAVAILABLE', 'no disk'))
  t.equal(await metric(app, COUNT), undefined)
  t.equal(await metric(app, AGE), undefined)
  t.equal(await metric(app, 'gateway_journal_head'), 0)
  app.journal.deadLetterStats = stats
  t.equal(await metric(app, COUNT), 0)
  t.equal(await metric(app, AGE), 0)
})

t.test('a clock that was set back makes no dead letter younger than new', async (t) => {
  const { app } = await startScripted(t)
  app.journal.deadLetterStats = async () => ({ count: 1, oldestAt: Date.now() + 60_000 })
  t.equal(await metric(app, AGE), 0)
})

t.test('how long commits take is measured, once each', async (t) => {
  const { app, connect, agent } = await startScripted(t)
  agent.onRun = (run) => run.reply('done')
  const socket = await connect()
  await socket.call('sessions.send', { content: 'x', wait: true }, KEY)
  const commits = await metric(app, 'gateway_journal_commits_total{outcome="ok"}')
  t.ok(commits! >= 2)
  t.equal(await metric(app, 'gateway_journal_commit_duration_seconds_count'), commits)
})
