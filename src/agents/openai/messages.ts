import type { HistoryMessage } from '../agent.js'
import { newest } from '../backend/history.js'
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
  const messages: ChatMessage[] =
    systemPrompt === undefined ? [] : [{ role: 'system', content: systemPrompt }]
  for (const { role, content } of newest(history, historyMaxChars)) {
    if (content !== '') messages.push({ role, content })
  }
  messages.push({ role: 'user', content })
  return messages
}
