import type { Static } from '@sinclair/typebox'
import type { Log } from '../log.js'
import type {
  AgentReport,
  HistoryEntry,
  InboundEvent,
  JsonObject,
  PermissionAnswer,
  PermissionQuestion,
  SessionSummary,
} from '../protocol/index.js'
import type { Skill } from '../skills/skill.js'
import type { Traced } from '../tracing/trace-context.js'

export type { Log, Skill }

export type HistoryMessage = Static<typeof HistoryEntry>

/** Takes a message while the run goes on; false: not this one, it gets a run of its own. */
export type SteerListener = (message: InboundEvent) => boolean | undefined

/** What a run has besides its event; `traceparent` is that of this try, for what the agent calls. */
export interface RunContext extends Traced {
  readonly session: SessionSummary
  readonly runId: string
  /** What the run handles, in order: more than one event where messages were collected. `event` says what all of them say. */
  readonly events: readonly InboundEvent[]
  /** 1 for the first try. */
  readonly attempt: number
  /** The skills of its agent that can be used here, as they are now. */
  readonly skills: readonly Skill[]
  /** How long this try may take from its begin, milliseconds. */
  readonly timeoutMs: number
  /** Aborts on `agent.abort`, the time limit and shutdown. An agent that ignores it is abandoned and its output is fenced off. */
  readonly signal: AbortSignal
  readonly log: Log
  /**
   * The conversation until now, oldest first, each answer after what it answers: the newest `limit` messages (default: the
   * configured window) without this event's own and those that still wait. One read at a time; rejects after the run's end.
   */
  history(limit?: number): Promise<HistoryMessage[]>
  /**
   * In the queue mode `steer`: messages of the session that come while the run goes on, those that wait already included. A
   * message that the listener takes is handled by this run and shares its outcome; where the run is tried again it is part
   * of the event.
   */
  onSteer(listener: SteerListener): void
  /**
   * Streams a piece of the answer to everyone who watches; pieces of one turn of the event loop may go out together. Throws
   * `UNAVAILABLE` once all of them are longer than an answer may be.
   */
  delta(text: string): void
  /**
   * Tells everyone who watches of a tool call or of reasoning. What is too long is cut, what is no report or too many are
   * left out with a line in the log: a run does not fail for it.
   */
  report(report: AgentReport): void
  /**
   * Asks for a permission and waits for the answer of whoever may write to the session. Rejects when `signal` aborts, when
   * the run ends, and with `UNAVAILABLE` past `lanes.reports.maxQuestions`.
   */
  ask(question: PermissionQuestion, signal?: AbortSignal): Promise<PermissionAnswer>
  /** The try begins anew, such as on another machine: those who watch forget what it streamed. */
  restart(): void
}

/** The final answer of a run. An empty `content` ends the run without a message. */
export interface AgentReply {
  readonly content: string
  readonly metadata?: JsonObject
  /** Tokens or whatever the backend counts; passed through. */
  readonly usage?: JsonObject
}

/** How failures are retried, in place, while the lane waits. */
export interface RetryPolicy {
  /** Tries in all. */
  readonly attempts: number
  readonly backoffMs: number
  readonly maxBackoffMs: number
}

/** Of an agent that can take only so many runs: the others wait in their lanes, and hold nothing that other agents need. */
export interface Capacity {
  /** Runs that it could begin now. */
  readonly free: number
  /** Whom to tell when there may be more. */
  onFree(listener: () => void): void
}

/** The adapter of one brain (spec §4). */
export interface Agent {
  readonly type: string
  /** Left out: it takes whatever comes. */
  readonly capacity?: Capacity
  /**
   * Answers one event. Throws `GatewayError`: `retryable` decides whether it is tried again; anything else thrown counts
   * as retryable and its message stays in the log.
   */
  run(event: InboundEvent, context: RunContext): Promise<AgentReply>
  /** Closing twice is fine. */
  close?(): Promise<void>
}

export interface AgentFactoryContext {
  readonly name: string
  readonly log: Log
  /** Relative paths in an agent's options are relative to this folder. */
  readonly baseDir: string
  readonly env: NodeJS.ProcessEnv
}

/**
 * Makes an agent from its entry under `agents:`, of which it gets the options of its type alone. Throws at start: a
 * `ConfigError` (config/problems) whose paths are relative to the options, or any other error.
 */
export type AgentFactory = (options: JsonObject, context: AgentFactoryContext) => Promise<Agent> | Agent
