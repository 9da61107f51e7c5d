import { TypeCompiler } from '@sinclair/typebox/compiler'
import type { Log } from '../log.js'
import { AgentReport, EVENTS, type ToolCall } from '../protocol/index.js'
import { DeltaStream } from './delta-stream.js'

const MAX_TITLE_CHARS = 500

export interface ReportLimits {
  /** Of an input or output. */
  readonly maxBytes: number
  /** Reports on tools. */
  readonly maxPerRun: number
}

export interface ReportsOptions extends ReportLimits {
  /** Of all reasoning together. */
  readonly maxReasoningBytes: number
  readonly send: (event: string, fields: object, droppable: boolean) => void
  /** Called before a report on a tool: what was said before it goes before it. */
  readonly beforeTool: () => void
  readonly log: Log
}

const reports = TypeCompiler.Compile(AgentReport)

/** What one try of a run tells besides its answer. Nothing of it is worth a failure: what is too much is left out, and logged once. */
export class RunReports {
  readonly #options: ReportsOptions
  readonly #reasoning: DeltaStream
  readonly #warned = new Set<string>()
  #tools = 0

  constructor(options: ReportsOptions) {
    this.#options = options
    const send = (text: string) => options.send(EVENTS.agentReasoning.name, { text }, true)
    this.#reasoning = new DeltaStream(send, options.maxReasoningBytes)
  }

  report(report: unknown): void {
    if (!reports.Check(report)) this.#warn('an agent’s report is none of the protocol and is left out')
    else if (report.type === 'tool') this.#tool(report)
    else if (report.text !== '') this.#reason(report.text)
  }

  /** Sends what is kept for the end of the turn. */
  flush(): void {
    this.#reasoning.flush()
  }

  #reason(text: string): void {
    try {
      this.#reasoning.push(text)
    } catch {
      this.#warn('an agent’s reasoning is too long; the rest is left out')
    }
  }

  #tool(call: ToolCall): void {
    const { maxBytes, maxPerRun, send, beforeTool } = this.#options
    if (++this.#tools > maxPerRun) {
      this.#warn('an agent reports too often on its tools; the rest is left out')
      return
    }
    beforeTool()
    this.flush()
    // The last word on a call has to arrive; what comes in between is superseded by it.
    send(EVENTS.agentTool.name, shortened(call, maxBytes), call.status === 'updated')
  }

  #warn(message: string): void {
    if (this.#warned.has(message)) return
    this.#warned.add(message)
    this.#options.log.warn({}, message)
  }
}

/** The call with no more than `maxBytes` of its input and of its output. */
export function shortened({ callId, title, status, input, output }: ToolCall, maxBytes: number): ToolCall {
  return {
    callId,
    title: title === undefined ? undefined : shortTitle(title),
    status,
    input: short(input, maxBytes),
    output: short(output, maxBytes),
  }
}

export function shortTitle(title: string): string {
  return title.length > MAX_TITLE_CHARS ? `${title.slice(0, MAX_TITLE_CHARS)}…` : title
}

function short(value: unknown, maxBytes: number): unknown {
  const text = typeof value === 'string' ? value : asJson(value)
  if (text === undefined) return undefined
  const bytes = Buffer.byteLength(text)
  if (bytes <= maxBytes) return value
  // A character that the cut goes through is left out whole.
  const start = new TextDecoder().decode(Buffer.from(text.slice(0, maxBytes)).subarray(0, maxBytes), {
    stream: true,
  })
  return `${start}… [cut: ${bytes} bytes in all]`
}

/** Undefined: it does not fit into JSON. */
function asJson(value: unknown): string | undefined {
  try {
    return JSON.stringify(value)
  } catch {
    return undefined
  }
}
