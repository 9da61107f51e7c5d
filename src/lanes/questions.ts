import { abortError } from '../agents/abort.js'
import type { Broadcaster } from '../events/broadcaster.js'
import { newQuestionId } from '../journal/ids.js'
import {
  EVENTS,
  GatewayError,
  type InboundEvent,
  type OpenQuestion,
  type PermissionAnswer,
  PermissionQuestion,
  type QuestionOutcome,
} from '../protocol/index.js'
import { compileValidator } from '../protocol/validation.js'
import { shortened, shortTitle } from './reports.js'

export interface QuestionsOptions {
  readonly broadcaster: Broadcaster
  /** Open ones of one run. */
  readonly maxQuestions: number
  /** Of a tool call’s input and output. */
  readonly maxBytes: number
}

/** Told of every question, such as to ask the people that its run came from. */
export interface QuestionListener {
  /** `events`: what the run handles, its own event first. */
  asked(question: OpenQuestion, events: readonly InboundEvent[]): void
  over(question: OpenQuestion, sessionKey: string): void
}

interface Open {
  readonly sessionKey: string
  readonly question: OpenQuestion
  readonly resolve: (answer: PermissionAnswer) => void
  readonly reject: (error: GatewayError) => void
}

const validate = compileValidator(PermissionQuestion, 'question')

/** The permissions that agents ask for, until someone answers or their run is over. They are not kept over a restart: the run asks again. */
export class Questions {
  readonly #options: QuestionsOptions
  readonly #open = new Map<string, Open>()
  readonly #listeners: QuestionListener[] = []
  /** How questions ended; only grows. */
  readonly outcomes: Record<QuestionOutcome, number> = { answered: 0, declined: 0, expired: 0, ended: 0 }

  constructor(options: QuestionsOptions) {
    this.#options = options
  }

  /** How many wait for an answer. */
  get size(): number {
    return this.#open.size
  }

  follow(listener: QuestionListener): void {
    this.#listeners.push(listener)
  }

  isOpen(requestId: string): boolean {
    return this.#open.has(requestId)
  }

  /**
   * @param events what the run handles, its own event first
   * @param signal ends the question
   * @throws `UNAVAILABLE` when too many are open, `INVALID_REQUEST` when it is none, or the reason of who ended it
   */
  async ask(
    events: readonly InboundEvent[],
    asked: PermissionQuestion,
    signal: AbortSignal,
  ): Promise<PermissionAnswer> {
    validate(asked)
    const { runId, sessionKey } = events[0]!
    if (signal.aborted) throw abortError(signal)
    const { maxQuestions, maxBytes } = this.#options
    if (this.#ofRun(runId).length >= maxQuestions) {
      const message = `The agent asks for more than ${maxQuestions} permissions at the same time.`
      throw new GatewayError('UNAVAILABLE', message, { retryable: false })
    }
    const requestId = newQuestionId()
    const question: OpenQuestion = {
      runId,
      requestId,
      title: shortTitle(asked.title),
      options: asked.options.map(({ id, name, kind }) => ({ id, name: shortTitle(name), kind })),
      tool: asked.tool && shortened(asked.tool, maxBytes),
    }
    const end = () => this.#end(requestId, abortError(signal))
    try {
      return await new Promise<PermissionAnswer>((resolve, reject) => {
        this.#open.set(requestId, { sessionKey, question, resolve, reject })
        signal.addEventListener('abort', end, { once: true })
        this.#tell(EVENTS.agentPermission.name, sessionKey, question)
        for (const listener of this.#listeners) listener.asked(question, events)
      })
    } finally {
      signal.removeEventListener('abort', end)
    }
  }

  /** Those that `accept` lets through, oldest first. */
  list(accept: (sessionKey: string) => boolean): (OpenQuestion & { sessionKey: string })[] {
    return [...this.#open.values()]
      .filter(({ sessionKey }) => accept(sessionKey))
      .map(({ sessionKey, question }) => ({ sessionKey, ...question }))
  }

  /**
   * Answers with the run that goes on.
   *
   * @param optionId null: nobody chooses
   * @throws `NOT_FOUND`, or `INVALID_REQUEST` where that is none of the options
   */
  answer(requestId: string, optionId: string | null, mayWrite: (sessionKey: string) => boolean): string {
    const open = this.#open.get(requestId)
    if (open === undefined || !mayWrite(open.sessionKey)) {
      throw new GatewayError('NOT_FOUND', 'There is no such question, or it is over.', {
        details: { requestId },
      })
    }
    const { runId, options } = open.question
    if (optionId !== null && !options.some(({ id }) => id === optionId)) {
      const path = 'params.optionId'
      const expected = `one of ${options.map(({ id }) => JSON.stringify(id)).join(', ')}`
      throw new GatewayError('INVALID_REQUEST', `${path}: expected ${expected}`, {
        details: { path, expected },
      })
    }
    this.#close(open, optionId === null ? 'declined' : 'answered', optionId)
    open.resolve({ optionId })
    return runId
  }

  /** Nobody waits for what a run asked any more. */
  endRun(runId: string): void {
    for (const { question } of this.#ofRun(runId)) {
      this.#end(question.requestId, new GatewayError('CANCELLED', 'The run has ended.'))
    }
  }

  #ofRun(runId: string): Open[] {
    return [...this.#open.values()].filter(({ question }) => question.runId === runId)
  }

  #end(requestId: string, error: GatewayError): void {
    const open = this.#open.get(requestId)
    if (open === undefined) return
    const { cause } = Object(error.details) as { cause?: unknown }
    this.#close(open, cause === 'timeout' ? 'expired' : 'ended', null)
    open.reject(error)
  }

  #close({ sessionKey, question }: Open, outcome: QuestionOutcome, optionId: string | null): void {
    const { runId, requestId } = question
    this.#open.delete(requestId)
    this.outcomes[outcome]++
    this.#tell(EVENTS.agentPermissionResolved.name, sessionKey, { runId, requestId, outcome, optionId })
    for (const listener of this.#listeners) listener.over(question, sessionKey)
  }

  #tell(event: string, sessionKey: string, fields: object): void {
    const payload = JSON.stringify(fields)
    this.#options.broadcaster.broadcast({ event, sessionKey, at: Date.now(), payload, seq: 0 })
  }
}
