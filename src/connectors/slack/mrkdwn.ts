/** `<…>`: https://docs.slack.dev/messaging/formatting-message-text#retrieving-messages */
const ENTITY = /<([^<>]*)>/g
const USER = /<@([UW][A-Z0-9]+)(?:\|[^<>]*)?>/g

/** The users that a text names, each once. */
export function usersIn(text: string): string[] {
  return [...new Set(Array.from(text.matchAll(USER), (match) => match[1]!))]
}

/** Without the mention of a user, where there is one. */
export function withoutMention(text: string, user: string): string {
  const cut = text.replace(USER, (mention, id: string) => (id === user ? '' : mention))
  return cut === text ? text : cut.replace(/^\s*[:,]/, '').trim()
}

/** Slack's markup as plain text: entities spelled out, formatting left as it is. */
export function toPlain(text: string, nameOf: (user: string) => string): string {
  return text
    .replace(ENTITY, (_, inside: string) => entity(inside, nameOf))
    .replace(/&(amp|lt|gt);/g, (_, name: 'amp' | 'lt' | 'gt') => CHARACTERS[name])
}

const CHARACTERS = { amp: '&', lt: '<', gt: '>' }

function entity(inside: string, nameOf: (user: string) => string): string {
  const bar = inside.indexOf('|')
  const id = bar < 0 ? inside : inside.slice(0, bar)
  const label = bar < 0 ? '' : inside.slice(bar + 1)
  switch (id[0]) {
    case '@':
      return `@${nameOf(id.slice(1))}`
    case '#':
      return `#${label || id.slice(1)}`
    case '!':
      // `<!here>`, `<!subteam^S012|@team>`, `<!date^1392734382^{date}|18 February>`
      return label || `@${id.slice(1).split('^', 1)[0]}`
    default: {
      const address = id.replace(/^mailto:/, '')
      return label === '' || label === address || id.endsWith(`//${label}`)
        ? address
        : `${label} (${address})`
    }
  }
}

/** An agent's text as Slack shows it unchanged. */
export function escapeText(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;')
}

/** An agent's Markdown that cannot call a whole channel or group. */
export function withoutBroadcast(text: string): string {
  return text.replace(/<!(?=here|channel|everyone|group|subteam\^)/g, '<\u200b!')
}
