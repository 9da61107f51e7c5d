import { createPrincipal, type Principal } from '../auth/principal.js'
import { idsOfSuffix, suffixOfEvent } from '../journal/ids.js'
import type { AcceptedEvent, Incoming } from '../lanes/intake.js'
import { ownKey } from '../lanes/own-key.js'
import type { Log } from '../log.js'
import { GatewayError, type JsonObject, MESSAGE_RECEIVED } from '../protocol/index.js'
import { Turns } from '../sessions/turns.js'
import { during, receiveSpan } from '../tracing/spans.js'
import { traceOf } from '../tracing/trace-context.js'
import { tracedLog } from '../tracing/traced-log.js'
import { CARRYING, NO_SPAN, type Tracing } from '../tracing/tracing.js'
import { sessionKeyOf } from './address.js'
import { type ChannelQuestions, commandPrefixOf } from './channel-questions.js'
import { type Command, isSame, type ParsedCommand, parseCommand, TEXTS } from './commands.js'
import type { IncomingMessage, Received, Target } from './connector.js'
import { textOfFailure } from './failure.js'
import { OnceInAWhile } from './once-in-a-while.js'
import type { Pairing } from './pairing.js'
import { patiently } from './patience.js'
import type { ConnectorEntry } from './registry.js'

export interface ChannelInletOptions {
  readonly entry: ConnectorEntry
  /** Who the gateway is on the platform, once that is known. */
  readonly identity: () => string | null
  readonly accept: (incoming: Incoming, principal: Principal) => Promise<AcceptedEvent>
  readonly pairing: Pairing
  readonly codeTtlMs: number
  /** Whether the answers would have room. */
  readonly hasRoom: () => boolean
  /** Tells a sender something that no agent said; may be given up where there is no room for it. */
  readonly notify: (target: Target, text: string, replyTo: string | null) => Promise<void>
  /** Resolves with what to tell. */
  readonly command: (
    command: Exclude<Command, 'help' | 'answer'>,
    sessionKey: string,
    signal: AbortSignal,
  ) => Promise<string>
  /** What agents ask in the conversations of this channel. */
  readonly questions: Pick<ChannelQuestions, 'isAsking' | 'answer'>
  readonly limits: { readonly maxReceiving: number; readonly receiveTimeoutMs: number }
  readonly log: Log
  readonly observe: (outcome: ReceiveOutcome) => void
  /** Default: trace contexts are carried on. */
  readonly tracing?: Tracing
}

/** What became of an incoming message: a bounded set, for metrics. */
export type ReceiveOutcome =
  | 'accepted'
  | 'duplicate'
  | 'failed'
  | Extract<Received, { accepted: false }>['reason']

type Refusal = Extract<Received, { accepted: false }>

/** What the protocol takes of a sender's id or name; a longer name is cut. */
const MAX_SENDER_LENGTH = 256

/** What a channel's messages pass before the gateway's door (spec §3 and §5): who may write, is it for us, is there room. */
export class ChannelInlet {
  readonly #options: ChannelInletOptions
  readonly #principal: Principal
  /** Messages of one peer are accepted in the order of the calls. */
  readonly #turns = new Turns()
  readonly #notices = new OnceInAWhile()
  #receiving = 0

  constructor(options: ChannelInletOptions) {
    this.#options = options
    const { channel } = options.entry
    this.#principal = createPrincipal({
      name: `channel:${channel}`,
      role: 'channel',
      scopes: ['write'],
      sessions: [`${channel}:*`],
    })
  }

  /** As `Inlet.receive`; waiting for room ends when `signal` aborts. */
  receive(message: IncomingMessage, signal: AbortSignal): Promise<Received> {
    const { tracing = CARRYING, entry } = this.#options
    const span = receiveSpan(tracing, entry.type, entry.channel, message)
    if (span === NO_SPAN && message.traceparent === undefined) return this.#observed(message, signal)
    const { traceparent: _, tracestate: __, ...untraced } = message
    return during(span, async () => {
      const received = await this.#observed({ ...untraced, ...span.trace }, signal)
      span.set({ 'lurkbot.received': received.accepted ? 'accepted' : received.reason })
      return received
    })
  }

  async #observed(message: IncomingMessage, signal: AbortSignal): Promise<Received> {
    const { observe } = this.#options
    try {
      const received = await this.#receive(message, signal)
      observe(received.accepted ? (received.duplicate ? 'duplicate' : 'accepted') : received.reason)
      return received
    } catch (error) {
      observe('failed')
      throw error
    }
  }

  async #receive(message: IncomingMessage, signal: AbortSignal): Promise<Received> {
    const deadline = performance.now() + this.#options.limits.receiveTimeoutMs
    const refusal = this.#refusal(message)
    if (refusal !== null) return refusal
    if (!this.#isAllowed(message)) return this.#refuseStranger(message, signal)
    const parsed = parseCommand(message.text)
    if (parsed === null || !this.#isForUs(parsed.addressee)) {
      return this.#inTurn(message, () => this.#accept(message, deadline, signal))
    }
    const obey = () => this.#obey(parsed, message, signal)
    // What the others wait for does not wait behind them.
    const urgent = parsed.command === 'stop' || parsed.command === 'answer'
    return urgent ? obey() : this.#inTurn(message, obey)
  }

  /** @throws `UNAVAILABLE` when too many wait. */
  async #inTurn(message: IncomingMessage, work: () => Promise<Received>): Promise<Received> {
    if (this.#receiving >= this.#options.limits.maxReceiving) {
      this.#busy(message)
      throw new GatewayError('UNAVAILABLE', 'Too many messages of this channel wait.', {
        retryAfterMs: 1_000,
      })
    }
    this.#receiving++
    try {
      return await this.#turns.take(message.peer, work)
    } finally {
      this.#receiving--
    }
  }

  /** Null: it says something, and that to the gateway. */
  #refusal(message: IncomingMessage): Refusal | null {
    const { text, attachments, files, group, mentioned } = message
    if (text.trim() === '' && !attachments?.length && files === undefined)
      return { accepted: false, reason: 'empty' }
    if (!this.#isNameable(message)) return { accepted: false, reason: 'refused' }
    if (!group || !this.#options.entry.access.mentions || mentioned) return null
    const parsed = parseCommand(text)
    if (parsed?.addressee && isSame(parsed.addressee, this.#options.identity())) return null
    // Whom an answer is for is plain where something is asked.
    if (parsed?.command === 'answer' && parsed.addressee === null && this.#isAsking(message)) return null
    return { accepted: false, reason: 'not_mentioned' }
  }

  /** Whether conversation and sender have names that fit into keys and methods. */
  #isNameable(message: IncomingMessage): boolean {
    try {
      sessionKeyOf(this.#options.entry.channel, message)
      return message.sender.id.length <= MAX_SENDER_LENGTH
    } catch {
      return false
    }
  }

  #isAsking(message: IncomingMessage): boolean {
    return this.#options.questions.isAsking(sessionKeyOf(this.#options.entry.channel, message))
  }

  /** A command that names nobody is for whoever reads it. */
  #isForUs(addressee: string | null): boolean {
    return addressee === null || isSame(addressee, this.#options.identity())
  }

  #isAllowed({ sender, peer }: IncomingMessage): boolean {
    const { entry, pairing } = this.#options
    const { allow } = entry.access
    if (allow.has('*') || allow.has(sender.id) || allow.has(peer)) return true
    return pairing.isPaired(entry.channel, sender.id) || pairing.isPaired(entry.channel, peer)
  }

  async #refuseStranger(message: IncomingMessage, signal: AbortSignal): Promise<Refusal> {
    const { entry, pairing, codeTtlMs } = this.#options
    if (!entry.access.pairing) return { accepted: false, reason: 'not_allowed' }
    // In a group nobody is spoken to who did not ask for it.
    const isSpokenTo = !message.group || message.mentioned
    const code = isSpokenTo ? await pairing.request(entry.channel, await withNames(message, signal)) : null
    if (code !== null) {
      await this.#tell(message, TEXTS.pairing(code, Math.ceil(codeTtlMs / 60_000)), message.id)
    }
    return { accepted: false, reason: 'not_paired' }
  }

  async #obey(parsed: ParsedCommand, message: IncomingMessage, signal: AbortSignal): Promise<Refusal> {
    const text = await this.#done(parsed, sessionKeyOf(this.#options.entry.channel, message), signal)
    await this.#tell(message, text, message.id)
    return { accepted: false, reason: 'command' }
  }

  /** Does what is commanded; resolves with what to tell. */
  async #done({ command, argument }: ParsedCommand, sessionKey: string, signal: AbortSignal) {
    const { entry, questions } = this.#options
    if (command === 'help') return TEXTS.help(commandPrefixOf(entry))
    if (command === 'answer') return questions.answer(sessionKey, argument)
    return await this.#options.command(command, sessionKey, signal)
  }

  async #accept(given: IncomingMessage, deadline: number, signal: AbortSignal): Promise<Received> {
    const { entry, hasRoom, accept } = this.#options
    const log = tracedLog(this.#options.log, given)
    const message = await withFiles(await withNames(given, signal), signal)
    try {
      const incoming = toIncoming(entry, message)
      const accepted = await patiently({ deadline, signal, hasRoom }, () => accept(incoming, this.#principal))
      const { eventId, runId, duplicate = false } = accepted
      return { accepted: true, eventId, runId, duplicate }
    } catch (error) {
      const duplicate = duplicateOf(error)
      if (duplicate !== null) return duplicate
      const fields = { channel: entry.channel, cause: textOfFailure(error) }
      if (error instanceof GatewayError && !error.retryable && error.code !== 'CANCELLED') {
        log.debug(fields, 'a message was refused')
        await this.#tell(message, TEXTS.refused(error.message), message.id)
        return { accepted: false, reason: 'refused' }
      }
      if (!signal.aborted) {
        const level = this.#notices.due('log') ? 'warn' : 'debug'
        log[level](fields, 'a message could not be taken in time')
        this.#busy(message)
      }
      throw error
    }
  }

  #busy(message: IncomingMessage): void {
    const { peer, thread, id } = message
    if (this.#notices.due(JSON.stringify([peer, thread]))) void this.#tell(message, TEXTS.busy, id)
  }

  /** A failure is not worth failing the message for. */
  async #tell(target: Target, text: string, replyTo: string | null): Promise<void> {
    const { peer, thread } = target
    try {
      if (this.#options.hasRoom()) await this.#options.notify({ peer, thread }, text, replyTo)
    } catch (error) {
      const fields = { channel: this.#options.entry.channel, cause: textOfFailure(error) }
      this.#options.log.warn(fields, 'a sender could not be told')
    }
  }
}

async function withNames(message: IncomingMessage, signal: AbortSignal): Promise<IncomingMessage> {
  return message.names === undefined ? message : { ...message, ...(await message.names(signal)) }
}

async function withFiles(message: IncomingMessage, signal: AbortSignal): Promise<IncomingMessage> {
  if (message.files === undefined) return message
  const fetched = await message.files(signal)
  // What was cut off comes again with the next connection.
  signal.throwIfAborted()
  return { ...message, ...fetched }
}

function toIncoming({ type, channel }: ConnectorEntry, message: IncomingMessage): Incoming {
  const { id, sender, group, text, attachments, at, metadata } = message
  return {
    type: MESSAGE_RECEIVED,
    source: channel,
    sessionKey: sessionKeyOf(channel, message),
    idempotencyKey: ownKey(type, id),
    ...traceOf(message),
    payload: {
      // A conversation has no empty messages: one of attachments alone says what they are.
      content:
        text.trim() === ''
          ? (attachments ?? []).map(({ type, name }) => `[${name ?? type}]`).join(' ')
          : text,
      attachments,
      sender: (sender.name || sender.id).slice(0, MAX_SENDER_LENGTH),
      metadata: metadata === undefined ? undefined : { [type]: metadata },
      origin: { messageId: id, senderId: sender.id, senderName: sender.name, group, at },
    } as JsonObject,
  }
}

/** The platform's message again, in other words: its sender's name or the address of its picture may have changed. */
function duplicateOf(error: unknown): Received | null {
  if (!(error instanceof GatewayError) || error.code !== 'CONFLICT') return null
  const { eventId } = (error.details ?? {}) as { eventId?: string }
  const suffix = suffixOfEvent(eventId ?? '')
  return suffix === null ? null : { accepted: true, ...idsOfSuffix(suffix), duplicate: true }
}
