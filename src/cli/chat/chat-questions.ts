import type { GatewayClient } from '../../client/node.js'
import type { OpenQuestion, QuestionOutcome } from '../../protocol/agent-reports.js'
import { GatewayError } from '../../protocol/errors.js'
import { agentAnswer, agentQuestions } from '../../protocol/methods/agents.js'
import { questionText } from '../../protocol/question-text.js'
import type { ConversationView } from './conversation.js'

export interface ChatQuestionsOptions {
  readonly client: GatewayClient
  readonly sessionKey: string
  readonly view: Pick<ConversationView, 'question' | 'questionOver'>
}

type Option = OpenQuestion['options'][number]

interface Resolved {
  readonly requestId: string
  readonly outcome: QuestionOutcome
  readonly optionId: string | null
}

/** What the agent asks in a conversation: one question is shown at a time, so that an answer is one to that. */
export class ChatQuestions {
  readonly #options: ChatQuestionsOptions
  /** Oldest first. */
  #open: OpenQuestion[] = []
  /** The one that is on the screen, until it is known how it ended. */
  #shown: OpenQuestion | null = null
  #waiters: (() => void)[] = []

  constructor(options: ChatQuestionsOptions) {
    this.#options = options
  }

  /** What is being asked; null: nothing, or nothing that anyone has seen. */
  get current(): OpenQuestion | null {
    return this.#shown !== null && this.#open[0] === this.#shown ? this.#shown : null
  }

  asked(question: OpenQuestion): void {
    if (this.#open.some(({ requestId }) => requestId === question.requestId)) return
    this.#open = [...this.#open, question]
    if (this.#shown === null) this.#show()
  }

  /** It has ended, here or elsewhere. */
  resolved({ requestId, outcome, optionId }: Resolved): void {
    const question = this.#open.find((one) => one.requestId === requestId)
    if (question === undefined) return
    const name = question.options.find(({ id }) => id === optionId)?.name ?? ''
    this.#remove(requestId, howItEnded(outcome, name))
  }

  /** Looks for what was asked while nobody listened here, and for what is over since. */
  async find(): Promise<void> {
    const { client, sessionKey } = this.#options
    const before = this.#open
    let questions: readonly OpenQuestion[]
    try {
      questions = (await client.request(agentQuestions, {}, { sessionKey })).questions
    } catch (error) {
      // Whoever may not see what is asked talks all the same.
      if (error instanceof GatewayError) return
      throw error
    }
    for (const { requestId } of [...before]) {
      if (!questions.some((one) => one.requestId === requestId)) this.#remove(requestId, 'it is over')
    }
    for (const question of questions) this.asked(question)
  }

  /** The option that someone means: by its number, its name or its id. Null: none, or more than one. */
  choice(text: string): Option | null {
    const options = this.current?.options ?? []
    const said = text.trim().toLowerCase()
    const byNumber = /^\d+$/.test(said) ? options[Number(said) - 1] : undefined
    const meant = options.filter(({ id, name }) => name.toLowerCase() === said || id.toLowerCase() === said)
    return byNumber ?? (meant.length === 1 ? meant[0]! : null)
  }

  /** Answers what is asked. @throws `NOT_FOUND` where nothing is, or not any more, `INVALID_REQUEST` for what is none of the options. */
  async answer(text: string): Promise<void> {
    const question = this.current
    if (question === null) throw new GatewayError('NOT_FOUND', 'Nothing is asked.')
    const option = this.choice(text)
    if (option === null) throw new GatewayError('INVALID_REQUEST', `'${text}' is none of the answers.`)
    const { client, sessionKey } = this.#options
    const { requestId } = question
    // Before the event says so, which would be taken for an answer from elsewhere.
    this.#open = this.#open.filter((one) => one !== question)
    try {
      await client.request(agentAnswer, { requestId, optionId: option.id }, { sessionKey })
      this.#over(null)
    } catch (error) {
      if (error instanceof GatewayError && error.code === 'NOT_FOUND') this.#over('it was over already')
      else this.#open = [question, ...this.#open]
      throw error
    }
  }

  /** Resolves when something is asked, or at `close`. */
  async next(): Promise<void> {
    if (this.current === null) await new Promise<void>((resolve) => this.#waiters.push(resolve))
  }

  /** Closing twice is fine. */
  close(): void {
    for (const resolve of this.#waiters.splice(0)) resolve()
  }

  #remove(requestId: string, how: string): void {
    const wasShown = this.#shown?.requestId === requestId
    this.#open = this.#open.filter((one) => one.requestId !== requestId)
    if (wasShown) this.#over(how)
  }

  #over(how: string | null): void {
    this.#shown = null
    this.#options.view.questionOver(how)
    if (this.#open.length > 0) this.#show()
  }

  #show(): void {
    this.#shown = this.#open[0]!
    this.#options.view.question(questionText(this.#shown))
    this.close()
  }
}

function howItEnded(outcome: QuestionOutcome, name: string): string {
  switch (outcome) {
    case 'answered':
      return `answered elsewhere: ${name}`
    case 'declined':
      return 'declined elsewhere'
    case 'expired':
      return 'nobody answered in time'
    case 'ended':
      return 'the agent does not wait for an answer any more'
  }
}
