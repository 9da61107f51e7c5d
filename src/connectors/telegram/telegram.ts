import type { Update } from 'grammy/types'
import { parseOptions } from '../../config/parse-options.js'
import type {
  Capabilities,
  Connector,
  ConnectorFactory,
  ConnectorFactoryContext,
  EndpointAnswer,
  EndpointRequest,
  Inlet,
  OutgoingPart,
  Sent,
  Target,
} from '../connector.js'
import { Recent } from '../recent.js'
import { type Client, createClient } from './client.js'
import type { Bot } from './mentions.js'
import { Messages } from './messages.js'
import { checkOptions, TelegramOptions, token as tokenOption } from './options.js'
import { Previews } from './previews.js'
import { Updates } from './updates.js'
import { Webhook } from './webhook.js'

const CAPABILITIES: Capabilities = {
  maxLength: 4096,
  threads: true,
  attachments: true,
  idempotent: false,
  // It is shown for five seconds.
  typingIntervalMs: 4_500,
  previewIntervalMs: 1_500,
  trusted: false,
}

const COMMANDS = [
  { command: 'start', description: 'Begin' },
  { command: 'help', description: 'What can be said here' },
  { command: 'new', description: 'Begin a new conversation' },
  { command: 'stop', description: 'Stop the answer that is being written' },
  { command: 'answer', description: 'Answer what the agent asks, by number' },
]

/** Parts of several messages that may wait for their next attempt without doubling what was sent. */
const MAX_BEGUN = 1_000

/**
 * A Telegram bot (core.telegram.org/bots/api), by long polling or, with `webhookUrl`, as an endpoint.
 *
 * @throws ConfigError
 */
export const createTelegramConnector: ConnectorFactory = (given, context) => {
  const options = parseOptions(TelegramOptions, given, (one) => checkOptions(one, context.env))
  return new TelegramConnector(options, context)
}

class TelegramConnector implements Connector {
  readonly type = 'telegram'
  readonly capabilities = CAPABILITIES
  readonly unset: string | undefined
  readonly endpoint?: Connector['endpoint']
  readonly #options: TelegramOptions
  readonly #context: ConnectorFactoryContext
  readonly #client: Client
  /** Null: long polling. */
  readonly #webhook: Webhook | null
  readonly #messages: Messages
  readonly #previews: Previews
  readonly #begun = new Recent<{ done: number; messageId: number | null }>(MAX_BEGUN)
  readonly #updates: Updates
  #bot: Bot | null = null

  constructor(options: TelegramOptions, context: ConnectorFactoryContext) {
    const token = tokenOption.read(options, context.env) ?? ''
    this.unset = tokenOption.unset(options, context.env)
    this.#options = options
    this.#context = context
    this.#client = createClient(token, options)
    this.#messages = new Messages(this.#client, options.format)
    this.#previews = new Previews(this.#messages)
    this.#updates = new Updates(this.#client, options, context)
    const { webhookUrl: url, webhookCheckMs: checkMs } = options
    const webhook = url === undefined ? null : new Webhook(this.#client, token, { url, checkMs }, context.log)
    if (webhook !== null) this.endpoint = (request, inlet) => this.#called(webhook, request, inlet)
    this.#webhook = webhook
  }

  async listen(inlet: Inlet, signal: AbortSignal): Promise<void> {
    const { api, release } = this.#client
    const webhook = this.#webhook
    try {
      const bot = await api.getMe(signal)
      if (webhook === null) await api.deleteWebhook({}, signal)
      else await webhook.set(this.#updates.kinds, signal)
      await this.#announceCommands(signal)
      this.#bot = bot
      inlet.connected(`@${bot.username}`)
      if (webhook === null) await this.#updates.poll(bot, inlet, signal)
      else await webhook.watch(signal)
    } catch (error) {
      if (!signal.aborted) throw error
    } finally {
      this.#bot = null
      release()
    }
  }

  async send(part: OutgoingPart, signal: AbortSignal): Promise<Sent> {
    const { target, attachments, idempotencyKey: key } = part
    const begun = this.#begun.get(key) ?? { done: 0, messageId: null }
    const steps = [
      () => this.#sendText(part, signal),
      ...attachments.map((one) => () => this.#messages.file(target, one, signal)),
    ]
    for (const step of steps.slice(begun.done)) {
      const messageId = await step()
      begun.messageId ??= messageId
      begun.done += 1
      this.#begun.set(key, begun)
    }
    this.#begun.delete(key)
    return { messageId: begun.messageId === null ? null : String(begun.messageId) }
  }

  async typing(target: Target, signal: AbortSignal): Promise<void> {
    await this.#messages.typing(target, signal).catch(() => {})
  }

  preview(target: Target, runId: string, text: string, signal: AbortSignal): Promise<void> {
    return this.#previews.show(target, runId, text, signal)
  }

  discard(target: Target, runId: string, signal: AbortSignal): Promise<void> {
    return this.#previews.discard(target, runId, signal)
  }

  async close(): Promise<void> {
    this.#client.close()
  }

  async #sendText({ target, text, runId, part, replyTo }: OutgoingPart, signal: AbortSignal) {
    const preview = part === 1 ? runId : null
    if (text.trim() === '') {
      if (preview !== null) await this.#previews.discard(target, preview, signal)
      return null
    }
    const shown = preview === null ? null : await this.#previews.finish(target, preview, text, signal)
    // Groups have negative ids. Where two talk, it is plain what an answer is to.
    const answered = part === 1 && target.peer.startsWith('-') ? replyTo : null
    return shown ?? (await this.#messages.write(target, text, answered, signal))
  }

  async #announceCommands(signal: AbortSignal): Promise<void> {
    if (!this.#options.commands) return
    try {
      await this.#client.api.setMyCommands({ commands: COMMANDS }, signal)
    } catch (err) {
      this.#context.log.debug({ err }, 'the commands of a Telegram bot could not be set')
    }
  }

  /** Telegram tries again what is not answered with 2xx (core.telegram.org/bots/api#setwebhook). */
  async #called(
    webhook: Webhook,
    { headers, body, signal }: EndpointRequest,
    inlet: Inlet,
  ): Promise<EndpointAnswer> {
    if (!webhook.isSecret(headers['x-telegram-bot-api-secret-token'])) return { status: 401 }
    const update = readUpdate(body)
    if (update === null) return { status: 400 }
    if (this.#bot === null) return { status: 503 }
    try {
      await this.#updates.take(update, this.#bot, inlet, signal)
      return { status: 200 }
    } catch (err) {
      this.#context.log.warn({ err, updateId: update.update_id }, 'an update of Telegram was not taken')
      return { status: 503 }
    }
  }
}

function readUpdate(body: Buffer): Update | null {
  try {
    const update = JSON.parse(body.toString()) as Update | null
    return typeof update?.update_id === 'number' ? update : null
  } catch {
    return null
  }
}
