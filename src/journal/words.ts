/** What of a text can be found; the rest of a longer one cannot. UTF-16 units. */
export const SEARCHED_CHARS = 65_536
const WORD_MAX_CHARS = 64

/** Written without blanks: each character stands for itself, and several are found as a phrase. */
const UNSPACED =
  '[\\p{sc=Han}\\p{sc=Hiragana}\\p{sc=Katakana}\\p{sc=Thai}\\p{sc=Lao}\\p{sc=Khmer}\\p{sc=Myanmar}]'
const RAW = /[\p{L}\p{N}\p{M}]+/gu
const PART = new RegExp(`${UNSPACED}|(?:(?!${UNSPACED})[\\p{L}\\p{N}])+`, 'gu')
const MARKS = /\p{M}/gu
const PLAIN = /^[0-9a-z]+$/

export interface Word {
  /** In small letters and without accents. */
  readonly text: string
  /** Where it is in the text. */
  readonly from: number
  readonly to: number
}

/** The words of a text as search compares them: the one definition for what is indexed, asked for and shown. */
export function* wordsOf(text: string): Generator<Word> {
  for (const { 0: raw, index } of text.slice(0, SEARCHED_CHARS).matchAll(RAW)) {
    const place = { from: index, to: index + raw.length }
    const small = raw.toLowerCase()
    if (PLAIN.test(small)) yield { text: cut(small), ...place }
    else for (const part of fold(raw)) yield { text: cut(part), ...place }
  }
}

const fold = (raw: string): readonly string[] =>
  raw.normalize('NFKD').toLowerCase().replace(MARKS, '').match(PART) ?? []

/** Between two characters, so that UTF-8 holds it. */
const cut = (word: string): string =>
  word.length <= WORD_MAX_CHARS ? word : [...word].slice(0, WORD_MAX_CHARS).join('')
