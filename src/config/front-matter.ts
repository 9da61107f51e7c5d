import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { TextDecoder } from 'node:util'
import { readYaml } from './file.js'
import type { Layer } from './merge.js'
import type { Problem } from './problems.js'

export interface FrontMatter {
  readonly head: Layer
  readonly body: string
}

const FORM = /^\ufeff?---[ \t]*\r?\n([\s\S]*?)(?<=\n)---[ \t]*(?:\r?\n|$)/

/**
 * A text file that begins with YAML between two lines of `---`. What is wrong with it goes to `problems`, with lines of the
 * file; then the answer is undefined.
 *
 * @throws the file system's error where it cannot be read
 */
export async function readFrontMatter(
  path: string,
  maxBytes: number,
  problems: Problem[],
): Promise<FrontMatter | undefined> {
  const refuse = (message: string): undefined => void problems.push({ path: '', source: path, message })
  const bytes = await readAtMost(path, maxBytes)
  if (bytes === null) return refuse(`expected a file of at most ${maxBytes} bytes`)
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return refuse('expected UTF-8 text')
  }
  const match = FORM.exec(text)
  if (match === null) return refuse('expected YAML between two lines of --- at the top of the file')
  // An empty line stands for the first `---`, so that the lines are those of the file.
  const head = await readYaml(path, `\n${match[1]!}`, problems)
  return head === undefined ? undefined : { head, body: text.slice(match[0].length).trim() }
}

/** Null: the file is longer, or none. */
async function readAtMost(path: string, maxBytes: number): Promise<Buffer | null> {
  // A pipe would have the opening wait for whoever writes.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const stats = await file.stat()
    if (!stats.isFile() || stats.size > maxBytes) return null
    const bytes = await file.readFile()
    return bytes.length > maxBytes ? null : bytes
  } finally {
    await file.close()
  }
}
