import { type Static, type TObject, Type } from '@sinclair/typebox'
import { OpenQuestion, QuestionOutcome, ToolCall } from './agent-reports.js'
import { ChannelStatus } from './channels.js'
import type { Scope } from './contract.js'
import { CronJob, CronRun } from './cron.js'
import { ErrorShape } from './errors.js'
import { SessionSummary } from './frames.js'
import { InboundEvent } from './inbound-event.js'
import { LogLine } from './log-line.js'
import { ConfigChanged } from './methods/config.js'
import { AnyPairing } from './pairing.js'
import { Id, JsonObject, Seq, Timestamp } from './primitives.js'
import { GivenSkill } from './skills.js'

export * from './inbound-event.js'

/** An event that the gateway sends. */
export interface EventContract<P extends TObject = TObject> {
  readonly name: string
  readonly summary: string
  /** Durable events are in the journal, carry a `seq` and are replayed on resume. */
  readonly durable: boolean
  /** The scope that a receiver needs; null: everyone. */
  readonly scope: Scope | null
  /** Whether it belongs to a session, so that session-key patterns decide who sees it. */
  readonly session: boolean
  readonly payload: P
}

const event = <N extends string, P extends TObject>(definition: EventContract<P> & { readonly name: N }) =>
  Object.freeze(definition)

export const Attachment = Type.Object({
  type: Type.String({ minLength: 1, maxLength: 128, description: 'Media type.' }),
  name: Type.Optional(Type.String({ maxLength: 256 })),
  url: Type.Optional(Type.String({ maxLength: 4096 })),
  data: Type.Optional(Type.String({ description: 'Base64.' })),
})

export const Message = Type.Object(
  {
    messageId: Id,
    role: Type.Union([Type.Literal('user'), Type.Literal('assistant'), Type.Literal('system')]),
    content: Type.String(),
    attachments: Type.Optional(Type.Array(Attachment, { maxItems: 32 })),
    eventId: Id,
    runId: Id,
    answers: Type.Optional(
      Type.Array(Id, { description: 'The ids of the events that it answers, where they are several.' }),
    ),
    agent: Type.Optional(Type.String({ description: 'Which agent wrote it.' })),
    sender: Type.Optional(Type.String({ description: 'Who wrote it, as its source names them.' })),
    metadata: Type.Optional(JsonObject),
  },
  { $id: 'Message' },
)
export type Message = Static<typeof Message>

/** A message at its place in the history. */
export const HistoryEntry = Type.Intersect([Message, Type.Object({ seq: Seq, at: Timestamp })])

const run = { runId: Id, eventId: Id, agent: Type.String() }

const delivery = {
  deliveryId: Id,
  channel: Type.String(),
  peer: Type.String({ description: 'To whom, as the platform names them.' }),
  runId: Type.Union([Id, Type.Null()], { description: 'The run whose answer it is.' }),
}

/** How a run ended. */
export const RunStatus = Type.Union([
  Type.Literal('completed'),
  Type.Literal('failed'),
  Type.Literal('aborted'),
])

const merged = Type.Optional(
  Type.Array(Type.Object({ eventId: Id, runId: Id }), {
    description: 'The other events that this run handles: messages that were collected or steered into it.',
  }),
)

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
  agentStarted: event({
    name: 'agent.started',
    summary: 'A run began.',
    durable: false,
    scope: 'read',
    session: true,
    payload: Type.Object({ ...run, attempt: Type.Integer({ minimum: 1 }), merged }),
  }),
  agentSteered: event({
    name: 'agent.steered',
    summary: 'A message was handed to the running agent; its outcome will be that run’s.',
    durable: false,
    scope: 'read',
    session: true,
    payload: Type.Object({ ...run, mergedInto: Id }),
  }),
  agentDelta: event({
    name: 'agent.delta',
    summary: 'A piece of the answer; superseded by the final message.',
    durable: false,
    scope: 'read',
    session: true,
    payload: Type.Object({ runId: Id, text: Type.String() }),
  }),
  agentReasoning: event({
    name: 'agent.reasoning',
    summary: 'A piece of what the agent thinks before it answers; no part of the answer.',
    durable: false,
    scope: 'read',
    session: true,
    payload: Type.Object({ runId: Id, text: Type.String() }),
  }),
  agentTool: event({
    name: 'agent.tool',
    summary: 'The agent calls a tool, or a call has come further.',
    durable: false,
    scope: 'read',
    session: true,
    payload: Type.Object({ runId: Id, ...ToolCall.properties }),
  }),
  agentPermission: event({
    name: 'agent.permission',
    summary: 'The agent asks before it does something; the run waits for `agent.answer`.',
    durable: false,
    scope: 'read',
    session: true,
    payload: OpenQuestion,
  }),
  agentPermissionResolved: event({
    name: 'agent.permissionResolved',
    summary: 'A question of `agent.permission` is over.',
    durable: false,
    scope: 'read',
    session: true,
    payload: Type.Object({
      runId: Id,
      requestId: Id,
      outcome: QuestionOutcome,
      optionId: Type.Union([Type.String(), Type.Null()], { description: 'What was chosen; null: nothing.' }),
    }),
  }),
  agentCompleted: event({
    name: 'agent.completed',
    summary: 'A run ended well; its message is in `session.message`.',
    durable: true,
    scope: 'read',
    session: true,
    payload: Type.Object({
      ...run,
      messageId: Type.Union([Id, Type.Null()]),
      usage: Type.Optional(JsonObject),
      merged,
    }),
  }),
  agentRetrying: event({
    name: 'agent.retrying',
    summary: 'An attempt failed and the event is tried again; its lane waits.',
    durable: false,
    scope: 'read',
    session: true,
    payload: Type.Object({
      ...run,
      attempt: Type.Integer({ minimum: 1, description: 'The attempt that failed.' }),
      error: ErrorShape,
      retryInMs: Type.Integer({ minimum: 0 }),
    }),
  }),
  agentFailed: event({
    name: 'agent.failed',
    summary: 'A run failed for good; its event went to the dead letters.',
    durable: true,
    scope: 'read',
    session: true,
    payload: Type.Object({ ...run, error: ErrorShape, attempts: Type.Integer({ minimum: 0 }), merged }),
  }),
  agentAborted: event({
    name: 'agent.aborted',
    summary: 'A run was stopped, or its event was taken from the queue: on request, or for a newer message.',
    durable: true,
    scope: 'read',
    session: true,
    payload: Type.Object({
      ...run,
      reason: Type.String({ description: 'As it was given; `interrupted` for a newer message.' }),
      interruptedBy: Type.Optional(Id),
      merged,
    }),
  }),
  agentMerged: event({
    name: 'agent.merged',
    summary: 'An event was handled in the run of another one; in place of an outcome of its own.',
    durable: true,
    scope: 'read',
    session: true,
    payload: Type.Object({
      ...run,
      mergedInto: Type.String({ description: 'The id of the run that handled it.' }),
      status: RunStatus,
    }),
  }),
  agentUnavailable: event({
    name: 'agent.unavailable',
    summary: 'The backend of an agent is out of order, so says its breaker: events wait until it is back.',
    durable: false,
    scope: 'read',
    session: false,
    payload: Type.Object({
      agent: Type.String(),
      failures: Type.Integer({ minimum: 1, description: 'One after the other.' }),
      retryInMs: Type.Integer({ minimum: 0, description: 'Milliseconds until one of them is tried again.' }),
    }),
  }),
  agentAvailable: event({
    name: 'agent.available',
    summary: 'A run of an agent that was unavailable has succeeded: its events go on.',
    durable: false,
    scope: 'read',
    session: false,
    payload: Type.Object({ agent: Type.String() }),
  }),
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
