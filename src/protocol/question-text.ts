import type { PermissionQuestion } from './agent-reports.js'

/** Of what the tool is called with. */
const MAX_INPUT_CHARS = 300

/** A question as people read it, with its options numbered from `first`. */
export function questionText({ title, options, tool }: PermissionQuestion, first = 1): string {
  const input = inputText(tool?.input)
  const numbered = options.map(({ name }, index) => `${first + index}. ${name}`)
  return [title, ...(input === '' ? [] : [input]), ...numbered].join('\n')
}

function inputText(input: unknown): string {
  if (input === undefined || input === null) return ''
  const text = typeof input === 'string' ? input : JSON.stringify(input)
  if (text === '{}') return ''
  return text.length > MAX_INPUT_CHARS ? `${text.slice(0, MAX_INPUT_CHARS)}…` : text
}
