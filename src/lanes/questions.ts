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
} from '../protocol/index.js'
import { compileValidator } from '../protocol/validation.js'
import { shortened, shortTitle } from './reports.js'

export interface QuestionsOptions {
  readonly broadcaster: Broadcaster
  readonly limits: {
    /** Open ones of one run. */
    readonly maxQuestions: number
    /** Of a tool call’s input and output. */
    readonly maxBytes: number
  }
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

  constructor(options: QuestionsOptions) {
    this.#options = options
  }

  /**
   * @param signal ends the question
   * @throws `UNAVAILABLE` when too many are open, `INVALID_REQUEST` when it is none, or the reason of who ended it
   */
  async ask(
    { runId, sessionKey }: InboundEvent,
    asked: PermissionQuestion,
    signal: AbortSignal,
  ): Promise<PermissionAnswer> {
    validate(asked)
    if (signal.aborted) throw abortError(signal)
    const { maxQuestions, maxBytes } = this.#options.limits
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
    this.#close(open, optionId)
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
    this.#close(open, null)
    open.reject(error)
  }

  #close({ sessionKey, question: { runId, requestId } }: Open, optionId: string | null): void {
    this.#open.delete(requestId)
    this.#tell(EVENTS.agentPermissionResolved.name, sessionKey, { runId, requestId, optionId })
  }

  #tell(event: string, sessionKey: string, fields: object): void {
    const payload = JSON.stringify(fields)
    this.#options.broadcaster.broadcast({ event, sessionKey, at: Date.now(), payload, seq: 0 })
  }
}
