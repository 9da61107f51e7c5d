import type { MessageEntity, User } from 'grammy/types'

export interface Bot {
  readonly id: number
  readonly username: string
}

/** What a text says to whom. */
export interface Addressed {
  /** It names the bot. */
  readonly mentioned: boolean
  /** It is a command for another bot. */
  readonly forAnother: boolean
  /** Without the mention. */
  readonly text: string
}

interface Span {
  readonly from: number
  readonly to: number
}

/** Offsets and lengths of entities are in UTF-16 code units (core.telegram.org/bots/api#messageentity), as are a string's. */
export function addressed(text: string, entities: readonly MessageEntity[], bot: Bot): Addressed {
  const name = `@${bot.username.toLowerCase()}`
  const cuts: Span[] = []
  let forAnother = false
  for (const entity of entities) {
    const { offset: from, length } = entity
    const to = from + length
    const said = text.slice(from, to).toLowerCase()
    if (entity.type === 'mention' && said === name) cuts.push({ from, to })
    else if (entity.type === 'text_mention' && entity.user.id === bot.id) cuts.push({ from, to })
    else if (entity.type === 'bot_command' && said.includes('@')) {
      const at = said.indexOf('@')
      if (said.slice(at) === name) cuts.push({ from: from + at, to })
      else if (from === 0) forAnother = true
    }
  }
  return { mentioned: cuts.length > 0, forAnother, text: cut(text, cuts) }
}

function cut(text: string, spans: readonly Span[]): string {
  let rest = text
  for (const { from, to } of spans.toSorted((a, b) => b.from - a.from)) {
    const before = rest.slice(0, from)
    const after = rest.slice(to)
    if (before.trim() === '') rest = after.replace(/^[,:]?\s*/, '')
    // One blank of the two around it.
    else rest = before + (/\s$/.test(before) ? after.replace(/^[ \t]/, '') : after)
  }
  return spans.length === 0 ? text : rest.trim()
}

/** As people are called: `Ada Lovelace`, else `ada`. */
export function nameOf({ first_name, last_name, username }: User): string | undefined {
  return [first_name, last_name].filter(Boolean).join(' ') || username
}
