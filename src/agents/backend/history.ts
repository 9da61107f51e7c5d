import type { HistoryMessage } from '../agent.js'

/** The newest messages whose contents together have no more than `maxChars`. */
export function newest(history: readonly HistoryMessage[], maxChars: number): readonly HistoryMessage[] {
  let chars = 0
  let first = history.length
  while (first > 0) {
    chars += history[first - 1]!.content.length
    if (chars > maxChars) break
    first--
  }
  return history.slice(first)
}
