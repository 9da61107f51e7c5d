import { randomUUID } from 'node:crypto'
import type { MessageEvent } from 'irc-framework'
import type { IncomingMessage, OutgoingPart } from '../connector.js'
import { findMention } from '../mention.js'

/** What the server has told us of itself and of us. */
export interface Surroundings {
  readonly nick: string
  readonly fold: (name: string) => string
  readonly isChannel: (name: string) => boolean
}

/** Bold, colours and the like (https://modern.ircdocs.horse/formatting). */
const FORMATTING =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the formatting characters.
  /\u0003(?:\d{1,2}(?:,\d{1,2})?)?|\u0004(?:[\da-f]{6}(?:,[\da-f]{6})?)?|[\u0002\u000f\u0011\u0016\u001d-\u001f]/gi

/** What CTCP is made of, and what no line may hold. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters that a line must not have.
const FORBIDDEN = /[\u0000\u0001]/g

/** A line break is a line of its own, which takes its turn; so many bytes of a part's length pay for it. */
const BREAKS_IN_A_PART = 10

/** Null: it is none of ours, such as an echo or a broadcast. */
export function toIncoming(
  event: MessageEvent,
  { nick, fold, isChannel }: Surroundings,
): IncomingMessage | null {
  const { tags, account, time } = event
  const group = isChannel(event.target)
  const isToUs = group || fold(event.target) === fold(nick)
  if (event.from_server || !event.nick || !isToUs || fold(event.nick) === fold(nick)) return null
  // What a bouncer plays back comes again at each connect, and nothing but its id shows that it is the same.
  if (event.batch !== undefined && !tags.msgid) return null
  const plain = event.message.replace(FORMATTING, '')
  const mention = group ? findMention(plain, nick) : { mentioned: false, text: plain }
  return {
    peer: fold(group ? event.target : event.nick),
    thread: null,
    id: tags.msgid || randomUUID(),
    sender: { id: account || fold(event.nick), name: event.nick },
    group,
    mentioned: mention.mentioned,
    text: mention.text,
    ...(time === undefined ? {} : { at: time }),
    metadata: { nick: event.nick, host: event.hostname, account: account || null },
  }
}

/** The lines of a part: those of its text, then the URLs of its attachments. */
export function toLines({ text, attachments }: OutgoingPart, maxLineBytes: number): string[] {
  const urls = attachments.flatMap(({ url }) => (url && Buffer.byteLength(url) <= maxLineBytes ? [url] : []))
  return [...text.replace(FORBIDDEN, '').split(/\r\n|\r|\n/), ...urls].filter((line) => line.trim() !== '')
}

/** How IRC counts: in bytes; with so few line breaks that a part is sent within seconds. */
export function lengthCounter(maxLineBytes: number): (text: string) => number {
  const breakBytes = Math.ceil(maxLineBytes / BREAKS_IN_A_PART)
  return (text) => Buffer.byteLength(text) + (text.match(/[\r\n]/g)?.length ?? 0) * (breakBytes - 1)
}
