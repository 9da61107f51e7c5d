import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { abortable } from '../agents/abort.js'
import type { Agent, HistoryMessage, RunContext } from '../agents/agent.js'
import type { Log } from '../log.js'
import {
  type AgentReport,
  GatewayError,
  type InboundEvent,
  type PermissionAnswer,
  type PermissionQuestion,
} from '../protocol/index.js'

/** An agent under test, and what to send it to make it do what. */
export interface AgentHarness {
  readonly agent: Agent
  /** This content is answered with `answer`, in several deltas where the agent streams. */
  readonly ask: { readonly content: string; readonly answer: string; readonly streams: boolean }
  /** This content is never answered; left out: the agent always answers at once. */
  readonly hang?: string
  /** This content makes the run fail; left out: the agent cannot fail. */
  readonly fail?: string
  /** Closes what the harness opened; the suite closes the agent. */
  close?(): Promise<void>
}

/** A runner's function for one test, such as that of `node:test`, or a tap test's `t.test` in an arrow function. */
export type DefineTest = (name: string, body: () => Promise<void>) => unknown

export interface TestRun {
  readonly event: InboundEvent
  readonly context: RunContext
  readonly deltas: string[]
  readonly reports: AgentReport[]
  /** `[level, fields, message]` */
  readonly logged: [keyof Log, object, string][]
}

/** An event with `content` in a session of its own, and the context to run it in. */
export function createTestRun(
  options: {
    content?: string
    event?: Partial<InboundEvent>
    history?: HistoryMessage[]
    signal?: AbortSignal
    onDelta?: (text: string) => void
    /** Answers permissions; left out: nobody does. */
    onAsk?: (question: PermissionQuestion, signal: AbortSignal) => Promise<PermissionAnswer>
  } = {},
): TestRun {
  const { content, history = [], signal = new AbortController().signal, onDelta, onAsk } = options
  const never = (): Promise<PermissionAnswer> => new Promise(() => {})
  const deltas: string[] = []
  const reports: AgentReport[] = []
  const logged: TestRun['logged'] = []
  const at = Date.now()
  const event: InboundEvent = {
    id: 'event-1',
    runId: 'run-1',
    seq: 1,
    type: 'message.received',
    source: 'ws',
    sessionKey: 'test:1:main',
    at,
    payload: content === undefined ? {} : { content },
    priority: 'chat',
    ...options.event,
  }
  const level = (name: keyof Log) => (fields: object, message: string) => {
    logged.push([name, fields, message])
  }
  const context: RunContext = {
    session: {
      key: event.sessionKey,
      channel: 'test',
      title: null,
      agent: null,
      queueMode: null,
      metadata: {},
      createdAt: at,
      updatedAt: at,
      active: true,
    },
    runId: event.runId,
    events: [event],
    attempt: 1,
    skills: [],
    timeoutMs: 600_000,
    signal,
    log: { debug: level('debug'), info: level('info'), warn: level('warn'), error: level('error') },
    onSteer: () => {},
    history: async (limit = 50) => (limit === 0 ? [] : history.slice(-limit)),
    delta: (text) => {
      deltas.push(text)
      onDelta?.(text)
    },
    report: (report) => {
      reports.push(report)
    },
    ask: (question, ends = signal) =>
      abortable((onAsk ?? never)(question, ends), AbortSignal.any([signal, ends])),
    restart: () => {
      deltas.length = 0
    },
  }
  return { event, context, deltas, reports, logged }
}

/** What every agent must do (spec §4). `create` makes a fresh harness for each test. */
export function agentSuite(test: DefineTest, create: () => Promise<AgentHarness>): void {
  const within = (name: string, body: (harness: AgentHarness) => Promise<void>) =>
    test(name, async () => {
      const harness = await create()
      try {
        await body(harness)
      } finally {
        await harness.agent.close?.()
        await harness.close?.()
      }
    })

  within('has a type', async ({ agent }) => {
    assert.match(agent.type, /^[a-z][a-z0-9-]*$/)
  })
  within('answers, and its deltas, if any, add up to the answer', answers)
  within('answers runs side by side without mixing them up', answersSideBySide)
  within('refuses to begin a run that is stopped already', refusesStoppedRun)
  within('answers an event without content, or says why not', answersWithoutContent)
  within('rejects at once when a run is stopped, says nothing more, and answers the next', stops)
  within('hands on the reason of whoever stopped a run', handsOnReason)
  within('fails with an error that is fit for a client, and answers the next', fails)
  within('can be closed twice', async ({ agent }) => {
    await agent.close?.()
    await agent.close?.()
  })
}

async function answers({ agent, ask }: AgentHarness): Promise<void> {
  const { event, context, deltas } = createTestRun({ content: ask.content })
  const reply = await agent.run(event, context)
  assert.equal(reply.content, ask.answer)
  assert.equal(deltas.length > 1, ask.streams, `${deltas.length} deltas`)
  if (deltas.length > 0) assert.equal(deltas.join(''), ask.answer)
}

async function answersSideBySide(harness: AgentHarness): Promise<void> {
  await Promise.all(Array.from({ length: 5 }, () => answers(harness)))
}

async function refusesStoppedRun({ agent, ask }: AgentHarness): Promise<void> {
  const { event, context, deltas } = createTestRun({ content: ask.content, signal: AbortSignal.abort() })
  await assert.rejects(agent.run(event, context), { name: 'GatewayError', code: 'CANCELLED' })
  assert.deepEqual(deltas, [])
}

async function answersWithoutContent({ agent }: AgentHarness): Promise<void> {
  const { event, context } = createTestRun({ event: { type: 'system.heartbeat', priority: 'system' } })
  try {
    assert.equal(typeof (await agent.run(event, context)).content, 'string')
  } catch (error) {
    assert(error instanceof GatewayError, `threw ${error}`)
  }
}

async function stops(harness: AgentHarness): Promise<void> {
  const { agent, hang } = harness
  if (hang === undefined) return
  const control = new AbortController()
  const { event, context, deltas } = createTestRun({ content: hang, signal: control.signal })
  const run = agent.run(event, context)
  await turn()
  control.abort()
  await assert.rejects(run, { name: 'GatewayError', code: 'CANCELLED' })
  const said = deltas.length
  for (let turns = 0; turns < 5; turns++) await turn()
  assert.equal(deltas.length, said)
  await answers(harness)
}

async function handsOnReason({ agent, hang }: AgentHarness): Promise<void> {
  if (hang === undefined) return
  const control = new AbortController()
  const { event, context } = createTestRun({ content: hang, signal: control.signal })
  const run = agent.run(event, context)
  await turn()
  const reason = new GatewayError('AGENT_TIMEOUT', 'The agent took too long.')
  control.abort(reason)
  await assert.rejects(run, reason)
}

async function fails(harness: AgentHarness): Promise<void> {
  const { agent, fail } = harness
  if (fail === undefined) return
  const { event, context } = createTestRun({ content: fail })
  await assert.rejects(agent.run(event, context), (error) => {
    assert(error instanceof GatewayError, `threw ${error}`)
    assert.equal(typeof error.retryable, 'boolean')
    assert.doesNotMatch(error.message, /\n|\bat .*:\d+:\d+/, 'the message holds a stack')
    return true
  })
  await answers(harness)
}
