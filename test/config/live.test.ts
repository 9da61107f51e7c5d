import t from 'tap'
import { type Change, LiveConfig } from '../../src/config/live.js'
import { isLive } from '../../src/config/live-paths.js'
import { testConfig } from '../helpers/app.js'

const loaded = (overrides: Parameters<typeof testConfig>[0] = {}) => ({
  config: testConfig(overrides),
  baseDir: '/',
})

t.test('says of each setting whether it applies at once', async (t) => {
  for (const path of [
    'lanes.capacity',
    'agents.helper',
    'agents["<name>"].type',
    'rateLimit.http.max',
    'log.level',
    'auth.limits.inFlight',
    'connection.maxInFlight',
    'connection.maxConnections',
    'cron.maxJobs',
  ])
    t.equal(isLive(path), true, path)
  for (const path of [
    'host',
    'port',
    'log.format',
    'connection.maxPayloadBytes',
    'auth.maxTokens',
    'auth.enabled',
    'channels.maxAttachmentBytes',
    'lanesome',
    '',
  ])
    t.equal(isLive(path), false, path)
})

t.test('who holds on to a section sees what applies, and nothing of what does not', async (t) => {
  const live = new LiveConfig(loaded({ lanes: { capacity: 1, maxPendingPerPrincipal: 5 } }))
  const { lanes } = live.config
  const prepared = await live.prepare(loaded({ port: 1, lanes: { capacity: 2, retry: { attempts: 9 } } }))
  t.equal(lanes.capacity, 1)
  await prepared.commit()
  t.match(lanes, { capacity: 2, retry: { attempts: 9 }, maxPendingPerPrincipal: undefined })
  t.equal(live.config.port, 0)
  t.strictSame(prepared.restartRequired, ['port'])
  t.strictSame([...prepared.applied].sort(), [
    'lanes.capacity',
    'lanes.maxPendingPerPrincipal',
    'lanes.retry.attempts',
  ])
  t.strictSame(live.pending, ['port'])
})

t.test('only those who are concerned take part, in order, once all are ready', async (t) => {
  const live = new LiveConfig(loaded())
  const said: string[] = []
  const join = (name: string, prefix: string) =>
    live.onChange([prefix], () => {
      said.push(`${name} is ready`)
      return { apply: () => void said.push(`${name} changed`) }
    })
  join('agents', 'agents')
  join('lanes', 'lanes')
  join('capacity', 'lanes.capacity')
  join('retry', 'lanes.retry')
  const prepared = await live.prepare(loaded({ lanes: { capacity: 3 }, agents: { a: { type: 'echo' } } }))
  await prepared.commit()
  t.strictSame(said, [
    'agents is ready',
    'lanes is ready',
    'capacity is ready',
    'agents changed',
    'lanes changed',
    'capacity changed',
  ])
})

t.test('one who is not ready refuses the change; the others let go of what they prepared', async (t) => {
  const live = new LiveConfig(loaded())
  let discarded = 0
  live.onChange(['lanes'], () => ({
    apply: () => {
      t.fail('applied')
    },
    discard: () => void discarded++,
  }))
  live.onChange(['lanes'], () => Promise.reject(new Error('not now')))
  await t.rejects(live.prepare(loaded({ lanes: { capacity: 3 } })), { message: 'not now' })
  t.equal(discarded, 1)
  t.equal(live.config.lanes.capacity, 100)
})

t.test('should one fail after all, those before it change back', async (t) => {
  const live = new LiveConfig(loaded())
  const seen: [string, number][] = []
  const follow = (name: string) =>
    live.onChange(['lanes'], ({ after }: Change) => ({
      apply: () => void seen.push([name, after.lanes.capacity]),
      discard: () => void seen.push([`${name} lets go`, after.lanes.capacity]),
    }))
  follow('first')
  follow('second')
  live.onChange(['lanes'], () => ({
    apply: () => {
      throw new Error('broken')
    },
  }))
  follow('third')
  const prepared = await live.prepare(loaded({ lanes: { capacity: 3 } }))
  await t.rejects(prepared.commit(), { message: 'broken' })
  t.strictSame(seen, [
    ['first', 3],
    ['second', 3],
    ['third lets go', 3],
    ['second', 100],
    ['first', 100],
  ])
  t.equal(live.config.lanes.capacity, 100)
  t.strictSame(live.pending, [])
})
