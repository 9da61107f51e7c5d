import { problemsBelow } from '../config/nested.js'
import { formatPath } from '../config/paths.js'
import { ConfigError, type Problem } from '../config/problems.js'
import { didYouMean } from '../config/suggest.js'
import type { Log } from '../log.js'
import type { JsonObject } from '../protocol/index.js'
import type { Connector, ConnectorFactory, ConnectorFactoryContext } from './connector.js'

/** A connector's entry under `connectors:`; further keys are the options of its type. */
export interface ConnectorConfig {
  readonly type: string
  readonly enabled?: boolean
  readonly channel?: string
  readonly allow?: readonly string[]
  readonly pairing?: boolean
  readonly mentions?: boolean
  readonly preview?: boolean
  readonly typing?: boolean
  readonly questions?: 'ask' | 'ignore'
  readonly [option: string]: unknown
}

/** Who may write to a channel. */
export interface Access {
  /** Ids of people or groups; `*`: everyone. */
  readonly allow: ReadonlySet<string>
  /** Whether a stranger is given a code. */
  readonly pairing: boolean
  /** Whether messages of groups have to mention the gateway. */
  readonly mentions: boolean
}

/** A configured connector, with what the gateway does around it. */
export interface ConnectorEntry {
  readonly name: string
  readonly type: string
  readonly channel: string
  readonly connector: Connector
  /** Whether it starts with the gateway. */
  readonly enabled: boolean
  readonly access: Access
  readonly preview: boolean
  readonly typing: boolean
  /** Whether the people on it are asked what an agent asks. */
  readonly questions: 'ask' | 'ignore'
}

export interface ConnectorBuildContext
  extends Pick<ConnectorFactoryContext, 'baseDir' | 'env' | 'maxAttachmentBytes'> {
  /** Where people write and their connector does not say. Default: `ask`. */
  readonly questions?: 'ask' | 'ignore'
  readonly logOf: (connector: string) => Log
  /** Who set each key of the configuration, for messages. */
  readonly sources?: ReadonlyMap<string, string>
}

/** A type's file, and with it the platform's library, is loaded when the first connector of that type is built. */
const BUILT_IN: Readonly<Record<string, ConnectorFactory>> = {
  discord: async (options, context) =>
    (await import('./discord/discord.js')).createDiscordConnector(options, context),
  irc: async (options, context) => (await import('./irc/irc.js')).createIrcConnector(options, context),
  mqtt: async (options, context) => (await import('./mqtt/mqtt.js')).createMqttConnector(options, context),
  slack: async (options, context) =>
    (await import('./slack/slack.js')).createSlackConnector(options, context),
  telegram: async (options, context) =>
    (await import('./telegram/telegram.js')).createTelegramConnector(options, context),
  webhook: async (options, context) =>
    (await import('./webhook/webhook.js')).createWebhookConnector(options, context),
  xmpp: async (options, context) => (await import('./xmpp/xmpp.js')).createXmppConnector(options, context),
}

/** Types are channels by default, and so the first segment of session keys. */
const TYPE = /^[a-z0-9][a-z0-9_-]{0,31}$/

/** Whether connectors of that type need no plugin. */
export const isBuiltIn = (type: string): boolean => Object.hasOwn(BUILT_IN, type)

/** Which types of connectors there are, and the connectors of the configuration (spec §4). */
export class ConnectorRegistry {
  readonly #factories = new Map(Object.entries(BUILT_IN))
  #built = false

  /** Adds a type. @throws Error when it is no name or taken, or when the connectors are built already. */
  register(type: string, factory: ConnectorFactory): void {
    if (!TYPE.test(type)) throw new Error(`connector type '${type}': expected letters, digits, '_' and '-'`)
    if (this.#built)
      throw new Error(`connector type '${type}' comes too late: the connectors are built already`)
    if (this.#factories.has(type)) throw new Error(`connector type '${type}' is registered already`)
    this.#factories.set(type, factory)
  }

  /**
   * Makes every configured connector, in the order of the configuration; opens none.
   * @throws ConfigError with the problems of all of them; then those that were made are closed again
   */
  async build(
    connectors: Readonly<Record<string, ConnectorConfig>>,
    context: ConnectorBuildContext,
  ): Promise<ConnectorEntry[]> {
    if (this.#built) throw new Error('the connectors are built already')
    this.#built = true
    const shared = sharedChannels(connectors)
    const built = await Promise.all(
      Object.entries(connectors).map(async ([name, config]) => {
        try {
          return await this.#buildOne(name, config, context)
        } catch (error) {
          return problemsBelow(formatPath(['connectors', name]), 'connector', error, context.sources)
        }
      }),
    )
    const entries: ConnectorEntry[] = []
    const problems: Problem[] = []
    for (const result of built) {
      if ('connector' in result) entries.push(result)
      else problems.push(...result)
    }
    problems.push(...shared)
    if (problems.length === 0) return entries
    await Promise.allSettled(entries.map(async ({ connector }) => connector.close?.()))
    throw new ConfigError(problems)
  }

  async #buildOne(
    name: string,
    config: ConnectorConfig,
    context: ConnectorBuildContext,
  ): Promise<ConnectorEntry> {
    const { type, enabled = true, channel = type, allow, pairing, mentions = true, ...rest } = config
    const { preview = true, typing = true, questions, ...options } = rest
    const factory = this.#factories.get(type)
    if (factory === undefined) {
      const known = [...this.#factories.keys()]
      const types = known.join(', ') || 'none: plugins add them'
      const message = `expected a known connector type (${types}), found ${JSON.stringify(type)}`
      throw new ConfigError([{ path: 'type', message: `${message}${didYouMean(type, known)}` }])
    }
    const { logOf, baseDir, env, maxAttachmentBytes } = context
    const log = logOf(name)
    const connector = await factory(options as JsonObject, {
      name,
      channel,
      log,
      baseDir,
      env,
      maxAttachmentBytes,
    })
    const { trusted } = connector.capabilities
    const access: Access = {
      allow: new Set(allow ?? (trusted ? ['*'] : [])),
      pairing: pairing ?? allow === undefined,
      mentions,
    }
    // A program on the other side would take a question for an answer.
    const asks = questions ?? (trusted ? 'ignore' : (context.questions ?? 'ask'))
    return { name, type, channel, connector, enabled, access, preview, typing, questions: asks }
  }
}

/** Two connectors of one channel would answer each other's conversations. */
function sharedChannels(connectors: Readonly<Record<string, ConnectorConfig>>): Problem[] {
  const owners = new Map<string, string>()
  const problems: Problem[] = []
  for (const [name, { type, channel = type }] of Object.entries(connectors)) {
    const owner = owners.get(channel)
    if (owner === undefined) owners.set(channel, name)
    else {
      const message = `expected a channel of its own for '${name}', '${channel}' is that of '${owner}' already`
      problems.push({ path: formatPath(['connectors', name, 'channel']), message })
    }
  }
  return problems
}
