import { newDeliveryId } from '../journal/ids.js'
import { originOf, type RunOrigin } from '../lanes/answers.js'
import type { QuestionListener, Questions } from '../lanes/questions.js'
import type { Log } from '../log.js'
import { type InboundEvent, type OpenQuestion, questionText } from '../protocol/index.js'
import type { Channels } from './channels.js'
import { TEXTS } from './commands.js'
import type { CommandPrefix } from './connector.js'
import type { Deliveries } from './deliveries.js'
import { textOfFailure } from './failure.js'
import { patiently } from './patience.js'
import { Recent } from './recent.js'
import type { ConnectorEntry } from './registry.js'

export interface ChannelQuestionsOptions {
  readonly channels: Channels
  readonly questions: Pick<Questions, 'answer'>
  readonly deliveries: Pick<Deliveries, 'enqueue' | 'hasRoom'>
  readonly log: Log
}

/** A question on its way to a conversation, or waiting for the one before it to be over. */
interface Asked {
  readonly question: OpenQuestion
  readonly sessionKey: string
  readonly origin: RunOrigin
  readonly prefix: CommandPrefix
  /** Aborts when the question is over. */
  readonly end: AbortController
  /** The number of its first option; 0: it is not shown yet. */
  first: number
}

/** Conversations whose numbers are remembered. */
const MAX_CONVERSATIONS = 10_000
/** Then they begin again with 1. */
const MAX_NUMBER = 99

export const commandPrefixOf = ({ connector }: ConnectorEntry): CommandPrefix =>
  connector.capabilities.commandPrefix ?? '/'

/**
 * Asks the conversation that a run came from what its agent asks. One question at a time, and the numbers of a
 * conversation's options go on from question to question: an answer that crosses the next question is never one to that.
 *
 * The question is a delivery like any other, so that it stands in its place in the conversation; one that is over when its
 * turn comes, as after a restart, is not sent.
 */
export class ChannelQuestions implements QuestionListener {
  readonly #options: ChannelQuestionsOptions
  /** By session, oldest first; the first one is shown. */
  readonly #open = new Map<string, Asked[]>()
  /** The next number of each conversation that was asked something. */
  readonly #next = new Recent<number>(MAX_CONVERSATIONS)

  constructor(options: ChannelQuestionsOptions) {
    this.#options = options
  }

  asked(question: OpenQuestion, events: readonly InboundEvent[]): void {
    const { channels } = this.#options
    const origin = originOf(events, (name) => channels.get(name)?.entry.questions === 'ask')
    if (origin === null) return
    const { sessionKey } = events[0]!
    const prefix = commandPrefixOf(channels.require(origin.target.channel).entry)
    const asked = { question, sessionKey, origin, prefix, end: new AbortController(), first: 0 }
    const open = this.#open.get(sessionKey) ?? []
    this.#open.set(sessionKey, open)
    open.push(asked)
    if (open.length === 1) void this.#show(asked)
  }

  over({ requestId }: OpenQuestion, sessionKey: string): void {
    const open = this.#open.get(sessionKey) ?? []
    const index = open.findIndex(({ question }) => question.requestId === requestId)
    if (index < 0) return
    open[index]!.end.abort()
    open.splice(index, 1)
    if (open.length === 0) this.#open.delete(sessionKey)
    else if (index === 0) void this.#show(open[0]!)
  }

  /** Whether a question waits in that conversation. */
  isAsking(sessionKey: string): boolean {
    return this.#open.has(sessionKey)
  }

  /** Answers the question that is shown, by the number of an option. Returns what to tell whoever answered. */
  answer(sessionKey: string, text: string): string {
    const asked = this.#open.get(sessionKey)?.[0]
    if (asked === undefined) return this.#next.has(sessionKey) ? TEXTS.over : TEXTS.notAsked
    const { question, first, prefix } = asked
    const number = /^\d{1,3}$/.test(text) ? Number(text) : 0
    const option = number < first ? undefined : question.options[number - first]
    if (option !== undefined) {
      this.#options.questions.answer(question.requestId, option.id, () => true)
      return TEXTS.answered(option.name)
    }
    return number > 0 && number < first ? TEXTS.over : TEXTS.noOption(TEXTS.usage(prefix, first))
  }

  /** Never rejects. */
  async #show(asked: Asked): Promise<void> {
    const { question, sessionKey, origin, prefix, end } = asked
    const count = question.options.length
    const next = this.#next.get(sessionKey) ?? 1
    asked.first = next + count - 1 > MAX_NUMBER ? 1 : next
    this.#next.set(sessionKey, asked.first + count)
    const { deliveries, log } = this.#options
    const { channel, peer, thread } = origin.target
    const text = `${TEXTS.asks}\n${questionText(question, asked.first)}\n${TEXTS.usage(prefix, asked.first)}`
    const content = { text, questionId: question.requestId, replyTo: origin.replyTo }
    const delivery = { id: newDeliveryId(), channel, peer, thread, sessionKey, at: Date.now(), content }
    const room = { deadline: Number.POSITIVE_INFINITY, hasRoom: () => deliveries.hasRoom(channel) }
    try {
      await patiently({ ...room, signal: end.signal }, () => deliveries.enqueue([delivery]))
    } catch (error) {
      if (end.signal.aborted) return
      log.warn({ channel, cause: textOfFailure(error) }, 'a conversation could not be asked')
    }
  }
}
