import { randomUUID } from 'node:crypto'
import type { Test } from 'tap'
import { GatewayError } from '../../src/protocol/errors.js'
import { TestDevice } from './identities.js'
import { ScriptedConnector, startChannel } from './scripted-connector.js'
import type { TestSocket } from './socket.js'
import { tapped } from './tapped-log.js'
import { WORKER_HELLO } from './test-worker.js'

export interface Request {
  readonly params?: object
  readonly key?: string
}

/** A gateway in which there is something of everything, and who asks it. */
export interface Stage {
  readonly socket: TestSocket
  /** The name of the sessions that things are made in, such as `web:1:main`. */
  readonly key: string
  /** A message whose run goes on until the test ends. */
  busy(): Promise<{ eventId: string; runId: string }>
  /** The event id of a message whose run has failed for good. */
  deadLetter(): Promise<string>
  /** The id of a delivery that failed for good. */
  deadDelivery(): Promise<string>
  /** The code of a stranger who asks to be let in. */
  pairingCode(): Promise<string>
  /** The id of a question that a run waits for. */
  question(): Promise<string>
  /** The id of a job, of a token and of a device that was let in. */
  job(): Promise<string>
  token(): Promise<string>
  device(): Promise<string>
  /** The lease of a run that this connection has as a worker. */
  lease(): Promise<string>
}

const none = (): Request => ({})
const session = ({ key }: Stage): Request => ({ key })
const channel = (): Request => ({ params: { channel: 'scripted' } })
const job = async (stage: Stage): Promise<Request> => ({ params: { jobId: await stage.job() } })
const token = async (stage: Stage): Promise<Request> => ({ params: { tokenId: await stage.token() } })
const fresh = async ({ socket, key }: Stage, name: string): Promise<string> => {
  const made = `${key}:${name}`
  await socket.call('sessions.create', {}, made)
  return made
}

/** A request of each method that succeeds: a new method is a line here. */
export const GOOD: Readonly<Record<string, (stage: Stage) => Request | Promise<Request>>> = {
  'gateway.info': none,
  'gateway.health': none,
  'gateway.ping': () => ({ params: { data: 1 } }),
  'methods.list': none,
  'events.subscribe': () => ({ params: { patterns: ['*'] } }),
  'events.unsubscribe': () => ({ params: { patterns: ['never.subscribed'] } }),
  'events.publish': ({ key }) => ({ params: { type: 'system.heartbeat', payload: {} }, key }),
  'sessions.list': () => ({ params: { limit: 500 } }),
  'sessions.get': session,
  'sessions.history': session,
  'sessions.create': ({ key }) => ({ params: { title: 'new' }, key: `${key}:new` }),
  'sessions.patch': ({ key }) => ({ params: { title: 'x' }, key }),
  'sessions.reset': session,
  'sessions.delete': async (stage) => ({ key: await fresh(stage, 'gone') }),
  'sessions.send': ({ key }) => ({ params: { content: 'hi' }, key }),
  'sessions.search': ({ key }) => ({ params: { query: 'hi' }, key }),
  'sessions.export': session,
  'agent.wait': async ({ socket, key }) => {
    const { runId } = await socket.call('sessions.send', { content: 'hi', wait: true }, `${key}:waited`)
    return { params: { runId } }
  },
  'agent.abort': async (stage) => ({ params: { runId: (await stage.busy()).runId } }),
  'agent.questions': none,
  'agent.answer': async (stage) => ({ params: { requestId: await stage.question(), cancel: true } }),
  'agents.list': none,
  'channels.list': none,
  'channels.status': channel,
  'channels.stop': channel,
  'channels.start': channel,
  'channels.send': () => ({ params: { channel: 'scripted', peer: '9', text: 'hi' } }),
  'pairing.list': none,
  'pairing.approve': async (stage) => ({ params: { code: await stage.pairingCode() } }),
  'pairing.reject': async (stage) => ({ params: { code: await stage.pairingCode() } }),
  'devices.list': none,
  'devices.revoke': async (stage) => ({ params: { deviceId: await stage.device() } }),
  'tokens.list': none,
  'tokens.new': () => ({ params: { name: `token-${randomUUID()}` } }),
  'tokens.rotate': token,
  'tokens.revoke': token,
  'audit.list': none,
  'cron.list': none,
  'cron.add': ({ key }) => ({ params: JOB, key }),
  'cron.update': async (stage) => ({ params: { jobId: await stage.job(), enabled: false } }),
  'cron.run': job,
  'cron.runs': job,
  'cron.remove': job,
  'hooks.list': none,
  'hooks.reload': none,
  'skills.list': none,
  'skills.get': () => ({ params: { name: 'lurkbot-cli' } }),
  'config.get': none,
  'config.schema': none,
  'config.set': () => ({ params: { path: 'lanes.capacity', value: 101 } }),
  'config.patch': async ({ socket }) => {
    const { hash } = await socket.call('config.get')
    return { params: { patch: { lanes: { capacity: 102 } }, baseHash: hash } }
  },
  'config.reload': none,
  'lanes.list': none,
  'lanes.get': session,
  'lanes.pause': async (stage) => ({ key: await fresh(stage, 'paused') }),
  'lanes.resume': async (stage) => ({ key: await fresh(stage, 'resumed') }),
  'connections.list': none,
  'connections.close': ({ socket }) => ({ params: { connId: socket.helloOk!.server.connId } }),
  'logs.tail': none,
  'logs.untail': none,
  'deadLetters.list': none,
  'deadLetters.retry': async (stage) => ({ params: { eventId: await stage.deadLetter() } }),
  'deadLetters.discard': async (stage) => ({ params: { eventId: await stage.deadLetter() } }),
  'deliveries.list': none,
  'deliveries.retry': async (stage) => ({ params: { deliveryId: await stage.deadDelivery() } }),
  'deliveries.discard': async (stage) => ({ params: { deliveryId: await stage.deadDelivery() } }),
  'worker.register': () => ({ params: { agent: 'brain', credit: 1 } }),
  'worker.unregister': () => ({ params: { agent: 'brain' } }),
  'worker.complete': async (stage) => ({ params: { lease: await stage.lease(), content: 'done' } }),
  'worker.fail': async (stage) => ({ params: { lease: await stage.lease(), error: { message: 'no' } } }),
}

const JOB = { schedule: { everyMs: 3_600_000 }, payload: { kind: 'agentTurn', message: 'x' } }
const QUESTION = { title: 'May I?', options: [{ id: 'y', name: 'Yes', kind: 'allow_once' as const }] }

/** The gateway of `GOOD`, with these tokens. Its agent does what it is told: `fail`, `wait`, `ask`, else it answers. */
export async function startStage(t: Test, auth: object) {
  const { tap, logger } = tapped()
  const connector = new ScriptedConnector()
  connector.onSend = ({ text }) => {
    if (text.includes('undeliverable')) throw new GatewayError('FORBIDDEN', 'blocked by the user')
    return { messageId: null }
  }
  const running = await startChannel(
    t,
    {
      auth,
      agents: { scripted: { type: 'scripted' }, brain: { type: 'worker' } },
      connector: { allow: [], pairing: true },
    },
    connector,
    { logger, logs: tap, inFile: true },
  )
  running.agent.onRun = (run) => {
    if (run.content === 'fail') run.fail(new GatewayError('NOT_LINKED', 'told to'))
    else if (run.content === 'ask')
      run.context.ask(QUESTION).then(
        () => run.reply(),
        () => {},
      )
    else if (run.content !== 'wait') run.reply()
  }
  let made = 0
  /** What can be asked for in sessions of this name, by this socket. */
  const stage = (socket: TestSocket, key: string): Stage => {
    const send = (content: string) =>
      socket.call('sessions.send', { content, wait: content === 'fail' }, `${key}:${++made}`)
    const seen = socket.frames.length
    return {
      socket,
      key,
      busy: () => send('wait'),
      deadLetter: async () => (await send('fail')).eventId,
      deadDelivery: async () => {
        const peer = `dead${++made}`
        const params = { channel: 'scripted', peer, text: 'undeliverable', wait: true }
        await socket.request('channels.send', params)
        const { deliveries } = await socket.call('deliveries.list', { limit: 500 })
        return deliveries.find((it: { peer: string }) => it.peer === peer).deliveryId
      },
      pairingCode: async () => {
        const id = `stranger${++made}`
        await connector.receive('let me in', { sender: { id, name: id }, peer: id })
        const asked = await socket.event('pairing.requested', ({ payload }) => payload.pairing.peer === id)
        return asked.payload.pairing.code
      },
      question: async () => {
        const { runId } = await send('ask')
        const asked = await socket.event('agent.permission', ({ payload }) => payload.runId === runId)
        return asked.payload.requestId
      },
      job: async () => (await socket.call('cron.add', JOB, key)).job.jobId,
      token: async () => (await socket.call('tokens.new', { name: `token-${randomUUID()}` })).token.tokenId,
      device: async () => {
        const { socket: refused, answer } = await new TestDevice().connect(running)
        await refused.closed
        const { code, deviceId } = answer.error!.details
        await socket.call('pairing.approve', { code })
        return deviceId
      },
      lease: async () => {
        const name = `${key}:${++made}`
        await socket.call('worker.register', { agent: 'brain', credit: 10 })
        await socket.call('sessions.create', { agent: 'brain' }, name)
        await socket.call('sessions.send', { content: 'work' }, name)
        const given = await socket.next(
          ({ event, sessionKey }) => event === 'worker.run' && sessionKey === name,
          seen,
        )
        return given.payload.lease
      },
    }
  }
  return { ...running, stage }
}

/** The hello of who does everything: as an administrator, and as a worker that watches. */
export const EVERYTHING_HELLO = { ...WORKER_HELLO, subscribe: ['*'] }
