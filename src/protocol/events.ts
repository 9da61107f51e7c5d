import { Type } from '@sinclair/typebox'
import { AGENT_EVENTS } from './agent-events.js'
import { ChannelStatus } from './channels.js'
import { CronJob, CronRun } from './cron.js'
import { ErrorShape } from './errors.js'
import { event } from './event-contract.js'
import { SessionSummary } from './frames.js'
import { InboundEvent } from './inbound-event.js'
import { LogLine } from './log-line.js'
import { HistoryEntry, Message } from './message.js'
import { ConfigChanged } from './methods/config.js'
import { AnyPairing } from './pairing.js'
import { Id, Timestamp, traceFields } from './primitives.js'
import { GivenSkill } from './skills.js'

export { RunStatus } from './agent-events.js'
export type { EventContract } from './event-contract.js'
export * from './inbound-event.js'
export * from './message.js'

const delivery = {
  deliveryId: Id,
  channel: Type.String(),
  peer: Type.String({ description: 'To whom, as the platform names them.' }),
  runId: Type.Union([Id, Type.Null()], { description: 'The run whose answer it is.' }),
}

export const EVENTS = {
  sessionCreated: event({
    name: 'session.created',
    summary: 'A session began.',
    durable: true,
    scope: 'read',
    session: true,
    payload: Type.Object({ session: SessionSummary }),
  }),
  sessionMessage: event({
    name: 'session.message',
    summary: 'A message was accepted from a person or produced by an agent.',
    durable: true,
    scope: 'read',
    session: true,
    payload: Message,
  }),
  sessionUpdated: event({
    name: 'session.updated',
    summary: 'A session’s settings changed, or it was reset.',
    durable: true,
    scope: 'read',
    session: true,
    payload: Type.Object({ session: SessionSummary, reset: Type.Optional(Type.Boolean()) }),
  }),
  sessionEnded: event({
    name: 'session.ended',
    summary: 'A session was deleted, or expired (`sessions.retentionMs`): the `reason` says which.',
    durable: true,
    scope: 'read',
    session: true,
    payload: Type.Object({ reason: Type.String() }),
  }),
  ...AGENT_EVENTS,
  laneFull: event({
    name: 'lane.full',
    summary: 'A session’s queue reached its capacity and refuses new events.',
    durable: false,
    scope: 'read',
    session: true,
    payload: Type.Object({ capacity: Type.Integer(), retryAfterMs: Type.Integer() }),
  }),
  workerRun: event({
    name: 'worker.run',
    summary:
      'A run for this worker, sent to its connection alone. It ends with `worker.complete` or `worker.fail`.',
    durable: false,
    scope: 'agent',
    session: true,
    payload: Type.Object({
      agent: Type.String(),
      lease: Type.String({ description: 'The right to this run: goes with everything that is said of it.' }),
      runId: Id,
      attempt: Type.Integer({ minimum: 1 }),
      deadlineMs: Type.Integer({
        minimum: 0,
        description: 'Milliseconds from now until the run is stopped.',
      }),
      event: InboundEvent,
      events: Type.Optional(
        Type.Array(InboundEvent, { description: 'What `event` says all of, where it is several messages.' }),
      ),
      session: SessionSummary,
      history: Type.Array(HistoryEntry, { description: 'The messages before, oldest first.' }),
      skills: Type.Optional(Type.Array(GivenSkill, { description: 'The skills of its agent, if any.' })),
      ...traceFields,
    }),
  }),
  workerCancel: event({
    name: 'worker.cancel',
    summary: 'A run is taken back from this worker, sent to its connection alone: its lease is over.',
    durable: false,
    scope: 'agent',
    session: true,
    payload: Type.Object({ agent: Type.String(), lease: Type.String(), runId: Id, reason: Type.String() }),
  }),
  deliverySent: event({
    name: 'delivery.sent',
    summary: 'A channel’s platform took a message.',
    durable: false,
    scope: 'read',
    session: true,
    payload: Type.Object({
      ...delivery,
      messageIds: Type.Array(Type.String(), {
        description: 'How the platform names the messages that it became, as far as it said so.',
      }),
    }),
  }),
  deliveryFailed: event({
    name: 'delivery.failed',
    summary: 'A message could not be delivered for good; it went to the dead deliveries.',
    durable: true,
    scope: 'read',
    session: true,
    payload: Type.Object({ ...delivery, error: ErrorShape, attempts: Type.Integer({ minimum: 0 }) }),
  }),
  cronAdded: event({
    name: 'cron.added',
    summary: 'A job was added to the schedule.',
    durable: true,
    scope: 'read',
    session: true,
    payload: Type.Object({ job: CronJob }),
  }),
  cronUpdated: event({
    name: 'cron.updated',
    summary: 'A job was changed.',
    durable: true,
    scope: 'read',
    session: true,
    payload: Type.Object({ job: CronJob }),
  }),
  cronRemoved: event({
    name: 'cron.removed',
    summary: 'A job was removed, or removed itself.',
    durable: true,
    scope: 'read',
    session: true,
    payload: Type.Object({
      jobId: Id,
      name: Type.Union([Type.String(), Type.Null()]),
      reason: Type.Union([Type.Literal('removed'), Type.Literal('done')]),
    }),
  }),
  cronFired: event({
    name: 'cron.fired',
    summary: 'The time of a job has come: its event waits in the lane of its session.',
    durable: true,
    scope: 'read',
    session: true,
    payload: Type.Object({
      run: CronRun,
      nextRunAt: Type.Union([Timestamp, Type.Null()], { description: 'Null: this was the last time.' }),
    }),
  }),
  cronFinished: event({
    name: 'cron.finished',
    summary:
      'A run of a job ended, or there was none: its event was refused, or its time was left out. Of times that are left out in a row, only the first is told.',
    durable: true,
    scope: 'read',
    session: true,
    payload: Type.Object({ run: CronRun }),
  }),
  channelStatus: event({
    name: 'channel.status',
    summary: 'A channel connected, lost its connection, was started or stopped, or is refused something.',
    durable: false,
    scope: 'read',
    session: false,
    payload: ChannelStatus,
  }),
  pairingRequested: event({
    name: 'pairing.requested',
    summary: 'A stranger or a device asks to be let in.',
    durable: false,
    scope: 'admin',
    session: false,
    payload: Type.Object({ pairing: AnyPairing }),
  }),
  pairingResolved: event({
    name: 'pairing.resolved',
    summary: 'Someone was let in, refused, or shut out again.',
    durable: false,
    scope: 'admin',
    session: false,
    payload: Type.Object({ pairing: AnyPairing, approved: Type.Boolean() }),
  }),
  skillsChanged: event({
    name: 'skills.changed',
    summary: 'Skills came, went or were changed.',
    durable: false,
    scope: 'read',
    session: false,
    payload: Type.Object({
      added: Type.Array(Type.String()),
      changed: Type.Array(Type.String()),
      removed: Type.Array(Type.String()),
    }),
  }),
  configChanged: event({
    name: 'config.changed',
    summary: 'The configuration changed; says where, never to what.',
    durable: false,
    scope: 'admin',
    session: false,
    payload: ConfigChanged,
  }),
  log: event({
    name: 'log',
    summary: 'A line of the gateway’s log, sent to those connections alone that have asked by `logs.tail`.',
    durable: false,
    scope: 'admin',
    session: false,
    payload: LogLine,
  }),
  gatewayShutdown: event({
    name: 'gateway.shutdown',
    summary: 'The gateway stops accepting work and will close its connections.',
    durable: false,
    scope: null,
    session: false,
    payload: Type.Object({ reason: Type.String(), restart: Type.Boolean(), drainTimeoutMs: Type.Integer() }),
  }),
} as const

export type EventName = (typeof EVENTS)[keyof typeof EVENTS]['name']
