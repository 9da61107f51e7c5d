import type { Config } from '../config/schema.js'
import type { SessionRecord } from '../journal/journal.js'
import { cronOrigin, type InboundEvent, type QueueMode } from '../protocol/index.js'
import { compilePattern } from '../protocol/pattern.js'
import { channelOf } from './sessions.js'

export type RoutingConfig = Pick<Config, 'routing' | 'defaultAgent'> & {
  lanes: Pick<Config['lanes'], 'queueMode'>
}

type Rule = Config['routing'][number]

/** What serves a session (spec §3.6 and §4): what a scheduled job asks for, then the session’s own setting, then the first rule that matches and says, then the default. */
export class Router {
  #agent!: (sessionKey: string, content: unknown) => string
  #queueMode!: (sessionKey: string) => QueueMode
  readonly #isAgent: (name: string) => boolean

  /** @param isAgent whether there is an agent of that name: a session whose own is gone falls back to the rules */
  constructor(config: RoutingConfig, isAgent: (name: string) => boolean = () => true) {
    this.#isAgent = isAgent
    this.update(config)
  }

  /** Other rules, from the next event on. */
  update(config: RoutingConfig): void {
    this.#agent = decide(config.routing, 'agent', config.defaultAgent)
    this.#queueMode = decide(config.routing, 'queueMode', config.lanes.queueMode)
  }

  agent(
    event: Pick<InboundEvent, 'sessionKey' | 'payload' | 'source'>,
    record: SessionRecord | null | undefined,
  ): string {
    const asked = cronOrigin(event)?.agent
    if (asked) return asked
    const own = record?.agent
    return own && this.#isAgent(own) ? own : this.#agent(event.sessionKey, event.payload.content)
  }

  queueMode(sessionKey: string, record: SessionRecord | null | undefined): QueueMode {
    return record?.queueMode ?? this.#queueMode(sessionKey)
  }
}

function decide<K extends 'agent' | 'queueMode'>(
  rules: readonly Rule[],
  what: K,
  fallback: NonNullable<Rule[K]>,
): (sessionKey: string, content?: unknown) => NonNullable<Rule[K]> {
  const deciding = rules.flatMap(({ channel, sessionKey, mention, [what]: choice }) =>
    choice === undefined
      ? []
      : [
          {
            channel,
            matches: sessionKey === undefined ? () => true : compilePattern(sessionKey),
            isMentioned: mention === undefined ? () => true : compileMention(mention),
            choice,
          },
        ],
  )
  return (sessionKey, content) => {
    if (deciding.length === 0) return fallback
    const channel = channelOf(sessionKey)
    const rule = deciding.find(
      (rule) =>
        (rule.channel === undefined || rule.channel === channel) &&
        rule.matches(sessionKey) &&
        rule.isMentioned(content),
    )
    return (rule?.choice ?? fallback) as NonNullable<Rule[K]>
  }
}

/** Whether a text says `@name`: as a word of its own, in capitals or not. An address such as `me@name.example` does not. */
function compileMention(name: string): (content: unknown) => boolean {
  const pattern = new RegExp(`(?<![\\p{L}\\p{N}_.+-])@${name}(?![\\p{L}\\p{N}_-])`, 'iu')
  return (content) => typeof content === 'string' && pattern.test(content)
}
