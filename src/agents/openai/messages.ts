import { skillsPrompt } from '../../skills/given.js'
import type { HistoryMessage, Skill } from '../agent.js'
import { newest } from '../backend/history.js'
import type { OpenAiOptions } from './options.js'

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant'
  readonly content: string
}

/** The conversation as the endpoint gets it: what fits of the history, newest first in line, then `content`. */
export function chatMessages(
  {
    systemPrompt = '',
    historyMaxChars,
    skillsMaxChars,
  }: Pick<OpenAiOptions, 'systemPrompt' | 'historyMaxChars' | 'skillsMaxChars'>,
  skills: readonly Skill[],
  history: readonly HistoryMessage[],
  content: string,
): ChatMessage[] {
  // One system message: some endpoints take no other.
  const system = [systemPrompt, skillsPrompt(skills, skillsMaxChars)].filter((text) => text !== '')
  const messages: ChatMessage[] =
    system.length === 0 ? [] : [{ role: 'system', content: system.join('\n\n') }]
  for (const { role, content } of newest(history, historyMaxChars)) {
    if (content !== '') messages.push({ role, content })
  }
  messages.push({ role: 'user', content })
  return messages
}
