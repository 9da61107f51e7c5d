/** What stands beside a name without being a part of it; IRC's nicks have more characters than words have. */
const BEFORE = '(?<![\\p{L}\\p{N}_\\-\\[\\]\\\\`^{|}./])'
const AFTER = '(?![\\p{L}\\p{N}_\\-\\[\\]\\\\`^{|}])'

/** Whether `text` names `nick` as a word, and the text without the name where that is how it is addressed. */
export function findMention(text: string, nick: string): { mentioned: boolean; text: string } {
  const name = nick.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&').replaceAll('-', '\\x2d')
  if (!new RegExp(`${BEFORE}${name}${AFTER}`, 'iu').test(text)) return { mentioned: false, text }
  const addressed = text
    .replace(new RegExp(`^\\s*@?${name}${AFTER}[:,]?\\s*`, 'iu'), '')
    .replace(new RegExp(`\\s*${BEFORE}@${name}${AFTER}`, 'giu'), '')
  return { mentioned: true, text: addressed }
}
