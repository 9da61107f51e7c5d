import { createHash } from 'node:crypto'
import { lstat, open } from 'node:fs/promises'
import { join } from 'node:path'
import { TextDecoder } from 'node:util'
import { found } from './expectation.js'
import { JsonTextError, parseJsonText } from './json-text.js'
import { isObject, type Layer } from './merge.js'
import { formatPath, type Path } from './paths.js'
import { PlainError, plainCopy } from './plain.js'
import type { Problem } from './problems.js'
import { yamlLines } from './yaml-lines.js'

/** A bound for what is parsed: a configuration that is larger is the wrong file. */
export const MAX_FILE_BYTES = 1_048_576

const NAMES = ['config.yaml', 'config.yml', 'config.json']

/** A file's values, and what tells its text from any other. */
export interface FileLayer extends Layer {
  readonly hash: string
}

/** What tells one text of the file from another. One that is not there counts as empty. */
export function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

class FileProblem extends Error {
  constructor(
    message: string,
    readonly line?: number,
    readonly path: Path = [],
  ) {
    super(message)
  }
}

/** The configuration file of a state folder; null: it has none. Two of them are a problem: neither would be surprising. */
export async function findConfigFile(home: string, problems: Problem[]): Promise<string | null> {
  const found: string[] = []
  for (const name of NAMES) {
    try {
      // lstat: a link to nowhere is a file that cannot be read, not one that is not there.
      await lstat(join(home, name))
      found.push(name)
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code
      if (code === 'ENOENT') continue
      problems.push({ path: '', source: home, message: `the state folder ${readFailure(error)}` })
      return null
    }
  }
  if (found.length > 1) {
    problems.push({
      path: '',
      source: home,
      message: `expected one configuration file, found ${found.join(' and ')}; remove or rename all but one`,
    })
    return null
  }
  return found.length === 0 ? null : join(home, found[0]!)
}

/** Reads and parses `path`. What is wrong with it goes to `problems`; then the answer is undefined. */
export async function readConfigFile(path: string, problems: Problem[]): Promise<FileLayer | undefined> {
  return parsed(path, () => readText(path), problems)
}

/** The same for a text that is to become the file. */
export function parseConfigText(
  path: string,
  text: string,
  problems: Problem[],
): Promise<FileLayer | undefined> {
  return parsed(path, async () => text, problems)
}

/** YAML that was read already, such as the head of another file. */
export function readYaml(path: string, text: string, problems: Problem[]): Promise<Layer | undefined> {
  return reported(path, problems, () => yamlLayer(path, text))
}

function parsed(
  path: string,
  read: () => Promise<string>,
  problems: Problem[],
): Promise<FileLayer | undefined> {
  return reported(path, problems, async () => {
    const text = await read()
    const layer = isJson(path) ? jsonLayer(path, text) : await yamlLayer(path, text)
    return { ...layer, hash: hashOf(text) }
  })
}

async function reported<T>(
  path: string,
  problems: Problem[],
  read: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await read()
  } catch (error) {
    if (!(error instanceof FileProblem)) throw error
    const source = error.line === undefined ? path : `${path}:${error.line}`
    problems.push({ path: formatPath(error.path), source, message: error.message })
    return undefined
  }
}

export const isJson = (path: string): boolean => path.endsWith('.json')

/** @throws an error that says what is wrong with it, when it cannot be read, is too large or no UTF-8. */
export async function readText(path: string): Promise<string> {
  const buffer = Buffer.alloc(MAX_FILE_BYTES + 1)
  let length = 0
  try {
    const file = await open(path, 'r')
    try {
      while (length < buffer.length) {
        const { bytesRead } = await file.read(buffer, length, buffer.length - length, null)
        if (bytesRead === 0) break
        length += bytesRead
      }
    } finally {
      await file.close()
    }
  } catch (error) {
    throw new FileProblem(`the configuration file ${readFailure(error)}`)
  }
  if (length > MAX_FILE_BYTES) {
    throw new FileProblem(`the configuration file is larger than ${MAX_FILE_BYTES} bytes`)
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(buffer.subarray(0, length))
  } catch {
    throw new FileProblem('the configuration file is not UTF-8 text')
  }
}

function readFailure(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'ENOENT') return 'does not exist'
  if (code === 'EISDIR') return 'is a folder; expected a file'
  if (code === 'ENOTDIR') return 'is not inside a folder: a part of the path is a file'
  if (code === 'EACCES' || code === 'EPERM') return 'may not be read by this user (permission denied)'
  return `cannot be read: ${message}`
}

function jsonLayer(path: string, text: string): Layer {
  if (text.trim() === '') return { value: {}, source: () => path }
  try {
    const json = parseJsonText(text)
    return layer(path, json.value, (where) => json.lineOf(where))
  } catch (error) {
    if (!(error instanceof JsonTextError)) throw error
    throw new FileProblem(`not valid JSON at column ${error.column}: ${error.message}`, error.line)
  }
}

async function yamlLayer(path: string, text: string): Promise<Layer> {
  // The parser takes a text without a document for an error.
  if (text.split('\n').every((line) => /^(?:#|$)/.test(line.trim()))) return { value: {}, source: () => path }
  const { parseYAML, YAMLException } = await import('confbox/yaml')
  let value: unknown
  try {
    value = parseYAML(text)
  } catch (error) {
    if (!(error instanceof YAMLException)) throw error
    const { mark } = error
    const column = mark === undefined ? '' : ` at column ${mark.column + 1}`
    throw new FileProblem(`not valid YAML${column}: ${yamlReason(error.reason)}`, mark && mark.line + 1)
  }
  return layer(path, value, yamlLines(text))
}

/** The parser's reason without what it quotes: an unquoted token may begin with `*` or `!`, and it is quoted then. */
function yamlReason(reason: string): string {
  const constant = reason.replace(/["!].*$/s, '').trim()
  return constant === reason ? reason : `${constant}; text that begins with *, & or ! needs quotes`
}

function layer(path: string, parsed: unknown, lineOf: (path: Path) => number | undefined): Layer {
  let value: unknown
  try {
    value = plainCopy(parsed) ?? {}
  } catch (error) {
    if (!(error instanceof PlainError)) throw error
    const line = error.path.length === 0 ? undefined : lineOf(error.path)
    throw new FileProblem(
      error.path.length === 0 ? `the configuration file: ${error.message}` : error.message,
      line,
      error.path,
    )
  }
  if (!isObject(value)) {
    throw new FileProblem(`expected keys and values at the top of the file, found ${found(value, true)}`)
  }
  return {
    value,
    source: (where) => {
      const line = lineOf(where)
      return line === undefined ? path : `${path}:${line}`
    },
  }
}
