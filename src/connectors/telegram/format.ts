import type { MessageEntity } from 'grammy/types'

export interface Formatted {
  readonly text: string
  readonly entities: MessageEntity[]
}

/** Telegram shows no more in one message. */
const MAX_ENTITIES = 100

/** A fenced block, whose end may not be written yet; `code`; **bold**; [text](url). */
const MARKS =
  /^```([^\s`]*)[^\n`]*\n([\s\S]*?)(?:^```[^\S\n]*$|(?![\s\S]))|`([^`\n]+)`|\*\*(\S(?:[^\n]*?\S)?)\*\*|\[([^\]\n]+)\]\((https?:\/\/[^\s()]+)\)/gm

/**
 * The Markdown that models write, as text and what Telegram shows of it (core.telegram.org/bots/api#messageentity). Unlike
 * its own Markdown, text of any kind is valid. Never longer than what was given.
 */
export function formatMarkdown(markdown: string): Formatted {
  const entities: MessageEntity[] = []
  let text = ''
  let rest = 0
  for (const match of markdown.matchAll(MARKS)) {
    const [whole, language, block, code, bold, label, url] = match
    text += markdown.slice(rest, match.index)
    rest = match.index + whole.length
    const shown = block?.replace(/\n$/, '') ?? code ?? bold ?? label ?? ''
    const span = { offset: text.length, length: shown.length }
    text += shown
    if (shown === '' || entities.length === MAX_ENTITIES) continue
    if (block !== undefined) entities.push({ ...span, type: 'pre', ...(language && { language }) })
    else if (code !== undefined) entities.push({ ...span, type: 'code' })
    else if (bold !== undefined) entities.push({ ...span, type: 'bold' })
    else if (url !== undefined) entities.push({ ...span, type: 'text_link', url })
  }
  text += markdown.slice(rest)
  // Nothing but marks: Telegram takes no empty message.
  return text.trim() === '' ? { text: markdown, entities: [] } : { text, entities }
}
