import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { EventOf, GatewayClient } from '../../client/node.js'
import type { ResultOf } from '../../protocol/contract.js'
import { type ErrorShape, GatewayError, toErrorShape } from '../../protocol/errors.js'
import type { EventName, Message } from '../../protocol/events.js'
import { agentAbort, agentWait } from '../../protocol/methods/agents.js'
import { eventsSubscribe } from '../../protocol/methods/events.js'
import { sessionsHistory, sessionsReset, sessionsSend } from '../../protocol/methods/sessions.js'
import { ChatQuestions } from './chat-questions.js'
import { WorkLog } from './work-log.js'

/** How long to wait before a refused request is made again, where the gateway does not say. */
const RETRY_MS = 500

/** What there is to show of a conversation. A run's calls come in this order: `started`, `delta`…, one of the others. */
export interface ConversationView {
  /** A message of someone else in this session. */
  message(message: Message): void
  /** An attempt begins; what was streamed of an earlier one no longer counts. */
  started(agent: string): void
  delta(text: string): void
  /** A line of what the agent thinks. */
  reasoning(line: string): void
  /** A call of a tool begins, or has failed. */
  tool(title: string, failed: boolean): void
  /** The agent waits for an answer to what is asked; the options are numbered. */
  question(text: string): void
  /** What is asked is over; null: it was answered here. */
  questionOver(how: string | null): void
  /** The connection was lost; of the running answer only the whole will come. */
  interrupted(): void
  /** Null: the agent had nothing to say. */
  answered(message: Message | null, runId: string): void
  failed(error: ErrorShape, runId: string): void
  /** `waiting`: it had not begun; another one may be running. */
  aborted(reason: string, waiting: boolean, runId: string): void
  notice(text: string): void
}

/** One session of the gateway as a person's conversation; survives restarts of the gateway. */
export class Conversation {
  readonly #client: GatewayClient
  readonly #sessionKey: string
  readonly #view: ConversationView
  /** Our runs that have not ended. */
  readonly #own = new Set<string>()
  readonly #answers = new Map<string, Message>()
  readonly #idleWaiters: (() => void)[] = []
  readonly #stops: (() => void)[] = []
  readonly #closing = new AbortController()
  /** Sends without an answer. As long as there are any, it is open whose a new run is; what came is kept until then. */
  #sending = 0
  #undecided: Message[] = []
  #ended = new Set<string>()
  #running: string | null = null
  /** The running attempt is seen from its beginning; else its deltas are pieces out of the middle. */
  #following = false

  /** What the agent asks. */
  readonly questions: ChatQuestions
  /** What else it tells of its work. */
  readonly work: WorkLog

  constructor(options: {
    client: GatewayClient
    sessionKey: string
    view: ConversationView
    reasoning?: boolean
  }) {
    this.#client = options.client
    this.#sessionKey = options.sessionKey
    this.#view = options.view
    this.questions = new ChatQuestions(options)
    this.work = new WorkLog(options.view, options.reasoning ?? false)
    this.#listen()
  }

  /** The run that is being executed, ours or not. */
  get running(): string | null {
    return this.#running
  }

  /** To be called once, when the client is connected. */
  async begin(): Promise<void> {
    const params = { patterns: ['session.message', 'agent.*'], sessionKeys: [this.#sessionKey] }
    await this.#persist(() => this.#client.request(eventsSubscribe, params))
    await this.questions.find()
  }

  /** Resolves once the message is on the gateway's disk, which may be after a restart or two. */
  async send(content: string): Promise<void> {
    // The key makes it harmless to send again what may have arrived already.
    const params = { content, idempotencyKey: randomUUID() }
    this.#sending++
    try {
      const { runId } = await this.#persist(() =>
        this.#client.request(sessionsSend, params, { sessionKey: this.#sessionKey }),
      )
      if (!this.#ended.has(runId)) this.#own.add(runId)
      this.#undecided = this.#undecided.filter((message) => message.runId !== runId)
    } finally {
      this.#sending--
      if (this.#sending === 0) this.#decide()
    }
  }

  /** Resolves when every run of ours has ended, or at `close`. */
  async idle(): Promise<void> {
    if (this.#own.size > 0) await new Promise<void>((resolve) => this.#idleWaiters.push(resolve))
  }

  /** Stops a run, or everything that runs and waits in the session. */
  async abort(runId?: string): Promise<number> {
    const params = runId === undefined ? {} : { runId }
    const { aborted } = await this.#client.request(agentAbort, params, { sessionKey: this.#sessionKey })
    return aborted.length
  }

  async reset(): Promise<void> {
    await this.#client.request(sessionsReset, {}, { sessionKey: this.#sessionKey })
  }

  /** The newest messages, oldest first; none where the session does not exist yet. */
  async history(limit: number): Promise<ResultOf<typeof sessionsHistory>['messages']> {
    try {
      const page = await this.#persist(() =>
        this.#client.request(sessionsHistory, { limit }, { sessionKey: this.#sessionKey }),
      )
      return page.messages
    } catch (error) {
      if (error instanceof GatewayError && error.code === 'NOT_FOUND') return []
      throw error
    }
  }

  /** Closing twice is fine. */
  close(): void {
    this.#closing.abort()
    for (const stop of this.#stops.splice(0)) stop()
    for (const resolve of this.#idleWaiters.splice(0)) resolve()
    this.questions.close()
  }

  #listen(): void {
    const on = <N extends EventName>(event: N, listener: (frame: EventOf<N>) => void) => {
      const mine = (frame: EventOf<N>) => frame.sessionKey === this.#sessionKey && listener(frame)
      this.#stops.push(this.#client.on(event, mine))
    }
    on('session.message', ({ payload }) => this.#receive(payload))
    on('agent.started', ({ payload }) => {
      this.#running = payload.runId
      this.#following = true
      this.work.turn()
      this.#view.started(payload.agent)
    })
    on('agent.delta', ({ payload }) => {
      this.work.flush()
      if (this.#following) this.#view.delta(payload.text)
    })
    on('agent.reasoning', ({ payload }) => this.work.thinks(payload.text))
    on('agent.tool', ({ payload }) => this.work.calls(payload))
    on('agent.permission', ({ payload }) => {
      this.work.flush()
      this.questions.asked(payload)
    })
    on('agent.permissionResolved', ({ payload }) => this.questions.resolved(payload))
    on('agent.retrying', ({ payload: { error, retryInMs } }) =>
      this.#view.notice(`${error.code}: ${error.message}; next try in ${Math.ceil(retryInMs / 1000)} s`),
    )
    on('agent.completed', ({ payload }) => this.#end(payload.runId, () => this.#showAnswer(payload.runId)))
    on('agent.failed', ({ payload }) =>
      this.#end(payload.runId, () => this.#view.failed(payload.error, payload.runId)),
    )
    on('agent.aborted', ({ payload: { runId, reason } }) => {
      const waiting = this.#running !== null && this.#running !== runId
      this.#end(runId, () => this.#view.aborted(reason, waiting, runId))
    })
    // What is said to it is shown with the run that handled it.
    on('agent.merged', ({ payload }) => this.#end(payload.runId, () => {}))
    this.#stops.push(
      this.#client.onStateChange((state) => {
        if (state.status === 'waiting' && state.attempt === 1) {
          this.#running = null
          this.#following = false
          this.#view.interrupted()
          this.#view.notice(`${state.error.message.replace(/\.$/, '')}; reconnecting`)
        }
        if (state.status === 'open') {
          this.#view.notice('connected again')
          void this.questions.find()
          if (!state.resumed) for (const runId of this.#own) void this.#ask(runId)
        }
      }),
    )
  }

  #receive(message: Message): void {
    if (message.role === 'assistant') this.#answers.set(message.runId, message)
    else if (this.#own.has(message.runId)) return
    else if (this.#sending > 0) this.#undecided.push(message)
    else this.#view.message(message)
  }

  #showAnswer(runId: string): void {
    this.#view.answered(this.#answers.get(runId) ?? null, runId)
  }

  #end(runId: string, show: () => void): void {
    if (this.#running === runId) {
      this.#running = null
      this.work.turn()
    }
    show()
    this.#answers.delete(runId)
    if (this.#sending > 0) this.#ended.add(runId)
    if (this.#own.delete(runId) && this.#own.size === 0) {
      for (const resolve of this.#idleWaiters.splice(0)) resolve()
    }
  }

  /** Every send is answered: what is left is of others. */
  #decide(): void {
    for (const message of this.#undecided) this.#view.message(message)
    this.#undecided = []
    this.#ended.clear()
  }

  /** Events are missing, so the end of a run may be among them. */
  async #ask(runId: string): Promise<void> {
    try {
      const outcome = await this.#persist(() => this.#client.request(agentWait, { runId }))
      if (!this.#own.has(runId)) return
      this.#end(runId, () => {
        if (outcome.status === 'completed') this.#view.answered(outcome.message, runId)
        else if (outcome.status === 'aborted') this.#view.aborted('', false, runId)
        else this.#view.failed(outcome.error as ErrorShape, runId)
      })
    } catch (error) {
      if (this.#own.has(runId)) this.#end(runId, () => this.#view.failed(toErrorShape(error), runId))
    }
  }

  /** Makes a harmless request until it is answered: refusals for lack of room, and lost connections, are waited out. */
  async #persist<T>(request: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await request()
      } catch (error) {
        if (!(error instanceof GatewayError) || !error.retryable) throw error
        await delay(error.retryAfterMs ?? RETRY_MS, undefined, { signal: this.#closing.signal })
      }
    }
  }
}
