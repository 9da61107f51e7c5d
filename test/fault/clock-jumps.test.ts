import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type Frame, TestSocket } from '../helpers/socket.js'
import { until } from '../helpers/until.js'
import { complaintsOf } from './audit.js'
import { Faults, NO_FAULTS } from './faults.js'
import { Ledger } from './ledger.js'

const DAY = 86_400_000
const YEARS = 3_650 * DAY
const JUMPS = [DAY, -DAY, YEARS, -YEARS, 0]

/** Says which messages of people it has been given before this one, in which order. */
const HISTORIAN = `
export default async (event, context) => {
  const asked = context.history.filter(({ role }) => role === 'user')
  return asked.map(({ content }) => content).join()
}
`

t.test(
  'the clock jumps while it runs: nothing is lost, doubled or in disorder, and no time runs out',
  {
    skip: NO_FAULTS,
  },
  async (t) => {
    const faults = new Faults(t)
    const ledger = await Ledger.create(t, {
      messages: 15,
      config: {
        lanes: { runTimeoutMs: 20_000 },
        connection: { heartbeatMs: 200, handshakeTimeoutMs: 20_000 },
      },
    })
    const gateway = await ledger.start({ env: { ...faults.env, AGENT_MS: '60' } })
    const bystander = await ledger.connect(gateway)
    const driven = ledger.drive(gateway)
    const shown: number[] = []
    for (const jump of JUMPS) {
      await ledger.reached(ledger.position + 5)
      faults.set('clockMs', jump)
      const { at } = await bystander.call('gateway.ping', {})
      shown.push(Math.round((at - Date.now() - jump) / DAY))
      const { uptimeMs } = await bystander.call('gateway.info', {})
      t.ok(uptimeMs >= 0 && uptimeMs < DAY, 'its uptime is that of another clock')
    }
    t.same(shown, [0, 0, 0, 0, 0], 'the gateway saw each jump')
    await driven
    t.same(await ledger.audit(gateway), [])
    t.equal(bystander.socket.readyState, bystander.socket.OPEN, 'nobody was hung up on')
    const log = bystander.frames.filter(({ seq }) => seq !== undefined)
    const ats = log.map(({ at }) => at)
    t.notSame(
      ats,
      [...ats].sort((a, b) => a - b),
      'the order is not that of the clock',
    )
    const ids = log.map(({ payload }) => payload.messageId).filter(Boolean)
    const messages = log.filter(({ event }) => event === 'session.message')
    t.equal(
      new Set(messages.map(({ payload }) => payload.messageId)).size,
      messages.length,
      `${ids.length} ids`,
    )
    await gateway.kill9()
  },
)

t.test(
  'the clock jumps over a restart: order, lists, ids and idempotency keys stand',
  { skip: NO_FAULTS },
  async (t) => {
    const faults = new Faults(t)
    const ledger = await Ledger.create(t, { sessions: 1, messages: 1 })
    writeFileSync(join(ledger.home, 'agent.mjs'), HISTORIAN)
    const keys: string[] = []
    const eventIds: string[] = []
    let asked = 0
    for (const jump of [YEARS, 0, -YEARS]) {
      faults.set('clockMs', jump)
      const gateway = await ledger.start({ env: faults.env })
      const socket = await ledger.connect(gateway)
      for (const [n, eventId] of eventIds.entries()) {
        const params = { content: `m${n}`, idempotencyKey: `k${n}`, wait: true }
        const repeated = await socket.call('sessions.send', params, 'one:1:main')
        t.equal(repeated.eventId, eventId, 'a key is known to a life whose clock is behind')
      }
      for (let n = 0; n < 3; n++) {
        const before = Array.from({ length: asked }, (_, i) => `m${i}`).join()
        const key = `other:${asked}:main`
        const params = { content: `m${asked}`, idempotencyKey: `k${asked}`, wait: true }
        const { eventId, outcome } = await socket.call('sessions.send', params, 'one:1:main')
        t.equal(outcome.message?.content ?? '', before, `m${asked} comes after ${before}`)
        t.equal(
          (await socket.call('sessions.send', params, 'one:1:main')).eventId,
          eventId,
          'the key is known',
        )
        await socket.call('sessions.create', {}, key)
        keys.push(key)
        eventIds.push(eventId)
        asked++
      }
      const listed: string[] = []
      let cursor: string | undefined
      do {
        const page: Frame['result'] = await socket.call('sessions.list', { limit: 3, cursor })
        listed.push(...page.sessions.map((session: { key: string }) => session.key))
        cursor = page.nextCursor ?? undefined
      } while (cursor !== undefined)
      t.same(listed.sort(), ['one:1:main', ...keys].sort(), 'the pages of the list hold each session once')
      t.same(complaintsOf(gateway), [])
      await gateway.kill9()
    }
    t.same(eventIds, [...eventIds].sort(), 'ids go on where those of the life before ended')
    t.equal(new Set(eventIds).size, eventIds.length)
  },
)

t.test(
  'retention at a clock that is years ahead leaves what waits, dead letters and conversations',
  {
    skip: NO_FAULTS,
  },
  async (t) => {
    const faults = new Faults(t)
    const poison = { type: 'module', path: './poison.mjs', retry: { attempts: 1 } }
    const ledger = await Ledger.create(t, {
      config: { agents: { witness: { type: 'module', path: './agent.mjs' }, poison } },
    })
    writeFileSync(join(ledger.home, 'poison.mjs'), "export default () => { throw new Error('poison') }")
    const { env } = faults
    const first = await ledger.start({ env })
    await ledger.drive(first)
    await ledger.settled(first)
    const socket = await ledger.connect(first)
    await socket.call('sessions.create', {}, 'waiting:1:main')
    await socket.call('lanes.pause', {}, 'waiting:1:main')
    const waiting = await socket.call('sessions.send', { content: 'later' }, 'waiting:1:main')
    await socket.call('sessions.create', { agent: 'poison' }, 'dead:1:main')
    const dead = await socket.call('sessions.send', { content: 'poison', wait: true }, 'dead:1:main')
    t.equal(dead.outcome.status, 'failed')
    const { epoch } = socket.helloOk!.resume
    await first.kill9()

    faults.set('clockMs', YEARS)
    const second = await ledger.start({ env })
    const held = async () => {
      const back = new TestSocket(second.wsUrl)
      await back.opened
      await back.hello({ resume: { epoch, seq: 1 } })
      back.terminate()
      return back.helloOk?.resume.recovered
    }
    await until(async () => (await held()) === false)
    faults.set('clockMs', 0)
    const after = await ledger.connect(second)
    t.same((await ledger.stored(after)).sort(), ledger.known.sort(), 'the conversations are whole')
    const { deadLetters } = await after.call('deadLetters.list', {})
    t.same(
      deadLetters.map(({ event }: { event: { id: string } }) => event.id),
      [dead.eventId],
    )
    await after.call('lanes.resume', {}, 'waiting:1:main')
    t.match(await after.call('agent.wait', { runId: waiting.runId }), {
      status: 'completed',
      message: { content: 'answer to later' },
    })
    t.match(await after.call('sessions.send', { content: 'again', wait: true }, 'chat:0:main'), {
      outcome: { status: 'completed' },
    })
    t.same(complaintsOf(second), [])
    await second.kill9()
  },
)

t.test('limits recover in their own time, wherever the clock is set', { skip: NO_FAULTS }, async (t) => {
  const faults = new Faults(t)
  const limit = { max: 12, windowMs: 400 }
  const ledger = await Ledger.create(t, {
    config: { rateLimit: { http: limit, upgrades: limit, frames: limit } },
  })
  faults.set('clockMs', YEARS)
  const gateway = await ledger.start({ env: faults.env })
  const status = async () => (await fetch(gateway.url)).status
  await until(async () => (await status()) === 429)
  const socket = await ledger.connect(gateway)
  await until(async () => (await socket.request('gateway.ping', {})).error?.code === 'RATE_LIMITED')
  faults.set('clockMs', -YEARS)
  for (let n = 0; n < 2 * limit.max; n++) await until(async () => (await status()) === 200)
  t.pass('HTTP is served again, window for window')
  for (let n = 0; n < limit.max; n++) {
    await until(async () => (await socket.request('gateway.ping', {})).error === null)
  }
  t.pass('so are frames')
  for (let n = 0; n < 2 * limit.max; n++) {
    await until(async () => {
      const upgrade = new TestSocket(gateway.wsUrl)
      const opened = await Promise.race([upgrade.opened.then(() => true), upgrade.closed.then(() => false)])
      upgrade.terminate()
      return opened
    })
  }
  t.pass('so are connections')
  await gateway.kill9()
})
