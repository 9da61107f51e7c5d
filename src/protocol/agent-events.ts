import { Type } from '@sinclair/typebox'
import { OpenQuestion, QuestionOutcome, ToolCall } from './agent-reports.js'
import { ErrorShape } from './errors.js'
import { event } from './event-contract.js'
import { Id, JsonObject } from './primitives.js'

const run = { runId: Id, eventId: Id, agent: Type.String() }

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

/** What is told of runs and of those who do them. */
export const AGENT_EVENTS = {
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
} as const
