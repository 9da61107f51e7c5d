import type { Broadcaster } from '../events/broadcaster.js'
import type { Log } from '../log.js'
import { EVENTS, type InboundEvent, type ToolCall } from '../protocol/index.js'
import { toolEvent } from '../tracing/spans.js'
import type { Span } from '../tracing/tracing.js'
import { DeltaStream } from './delta-stream.js'
import { type ReportLimits, RunReports } from './reports.js'
import type { Stop } from './stop.js'

/** Follows one try of a run. */
export interface RunListener {
  /** A piece of the answer. */
  delta(text: string): void
  /** The pieces until now are void: the answer begins anew. */
  restart(): void
  /** The agent asks for a permission, and goes on when it has the answer. */
  asks(): void
  /** `answered`: with a message. */
  ended(answered: boolean): void
}

export interface RunOutputOptions {
  readonly broadcaster: Broadcaster
  readonly maxReplyBytes: number
  readonly reports: ReportLimits
}

/** What one try of a run tells those who watch before its end: past that, or a stop, nothing that the agent says. */
export class RunOutput {
  /** Made when there is something to tell: most answer in one piece. */
  #deltas: DeltaStream | null = null
  #reports: RunReports | null = null
  #ended = false

  constructor(
    private readonly options: RunOutputOptions,
    private readonly event: InboundEvent,
    private readonly stop: Stop,
    private readonly span: Span,
    private readonly log: Log,
    private readonly listener: RunListener | null,
  ) {}

  get ended(): boolean {
    return this.#ended
  }

  /** Nothing that the agent says counts any more. */
  get over(): boolean {
    return this.#ended || this.stop.aborted
  }

  /** @throws `UNAVAILABLE` past the bound of an answer. */
  delta(text: unknown): void {
    if (this.over || typeof text !== 'string' || text === '') return
    this.#deltas ??= new DeltaStream((text) => this.#sendDelta(text), this.options.maxReplyBytes)
    this.#deltas.push(text)
  }

  restart(): void {
    this.#deltas?.restart()
    this.listener?.restart()
  }

  report(report: unknown): void {
    if (this.over) return
    const { reports, maxReplyBytes: maxReasoningBytes } = this.options
    this.#reports ??= new RunReports({
      ...reports,
      maxReasoningBytes,
      send: (name, fields, droppable) => this.#send(name, fields, droppable),
      beforeTool: () => this.#deltas?.flush(),
      log: this.log,
    })
    this.#reports.report(report)
  }

  /** The agent asks for a permission: what it said before comes first. */
  asks(): void {
    this.#deltas?.flush()
    this.listener?.asks()
  }

  /** Sends what is kept for the end of the turn; nothing goes out after it. */
  end(): void {
    this.#reports?.flush()
    this.#deltas?.flush()
    this.#ended = true
  }

  #sendDelta(text: string): void {
    if (this.over) return
    this.#send(EVENTS.agentDelta.name, { text }, true)
    this.listener?.delta(text)
  }

  #send(name: string, fields: object, droppable: boolean): void {
    if (this.over) return
    if (name === EVENTS.agentTool.name) toolEvent(this.span, fields as ToolCall)
    const { sessionKey, runId } = this.event
    const payload = JSON.stringify({ runId, ...fields })
    this.options.broadcaster.broadcast(
      { event: name, sessionKey, at: Date.now(), payload, seq: 0 },
      droppable,
    )
  }
}
