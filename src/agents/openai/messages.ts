import type { HistoryMessage } from '../agent.js'
import type { OpenAiOptions } from './options.js'

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant'
  readonly content: string
}

/** The conversation as the endpoint gets it: what fits of the history, newest first in line, then `content`. */
export function chatMessages(
  { systemPrompt, historyMaxChars }: Pick<OpenAiOptions, 'systemPrompt' | 'historyMaxChars'>,
  history: readonly HistoryMessage[],
  content: string,
): ChatMessage[] {
  let chars = 0
  let first = history.length
  while (first > 0) {
    chars += history[first - 1]!.content.length
    if (chars > historyMaxChars) break
    first--
  }
  const messages: ChatMessage[] =
    systemPrompt === undefined ? [] : [{ role: 'system', content: systemPrompt }]
  for (const { role, content } of history.slice(first)) {
    if (content !== '') messages.push({ role, content })
  }
  messages.push({ role: 'user', content })
  return messages
}
