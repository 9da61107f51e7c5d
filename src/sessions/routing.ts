import type { Config } from '../config/schema.js'
import type { SessionRecord } from '../journal/journal.js'
import { compilePattern } from '../protocol/pattern.js'
import { channelOf } from './sessions.js'

/** Chooses the agent of a session: its own setting, then the first rule that matches, then the default (spec §4). */
export function createRouter(config: Pick<Config, 'routing' | 'defaultAgent'>) {
  const rules = config.routing.map((rule) => ({
    channel: rule.channel,
    matches: rule.sessionKey === undefined ? () => true : compilePattern(rule.sessionKey),
    agent: rule.agent,
  }))
  return (sessionKey: string, record: SessionRecord | null | undefined): string => {
    if (record?.agent) return record.agent
    const channel = channelOf(sessionKey)
    const rule = rules.find(
      (rule) => (rule.channel === undefined || rule.channel === channel) && rule.matches(sessionKey),
    )
    return rule?.agent ?? config.defaultAgent
  }
}

export type Router = ReturnType<typeof createRouter>
