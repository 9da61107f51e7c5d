import { isDeepStrictEqual } from 'node:util'
import type { Document } from 'yaml'
import type { JsonObject } from '../protocol/index.js'
import { isJson, parseConfigText } from './file.js'
import { type Edit, editsBetween } from './patch.js'
import type { Path } from './paths.js'
import { ConfigError, type Problem } from './problems.js'

/**
 * The text of a configuration file with other values: the format stays, in YAML comments and order too.
 *
 * @throws ConfigError where that cannot be done, as with YAML aliases
 */
export async function editText(
  path: string,
  text: string,
  before: JsonObject,
  after: JsonObject,
): Promise<string> {
  const edited = isJson(path)
    ? `${JSON.stringify(after, null, indentOf(text))}\n`
    : await editYaml(text, editsBetween(before, after))
  const problems: Problem[] = []
  const layer = await parseConfigText(path, edited, problems)
  if (layer !== undefined && isDeepStrictEqual(withoutEmpty(layer.value), withoutEmpty(after))) return edited
  throw new ConfigError([
    {
      path: '',
      source: path,
      message: 'the file cannot be edited without losing something of it; edit it by hand',
    },
  ])
}

/** A key without a value is as one that is not there. */
function withoutEmpty(value: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(value).filter(([, child]) => child !== null))
}

function indentOf(json: string): number | string {
  return /^[{[]\r?\n([ \t]+)/.exec(json)?.[1] ?? 2
}

async function editYaml(text: string, edits: readonly Edit[]): Promise<string> {
  // Only those who change a file pay for loading it.
  const yaml = await import('yaml')
  const document = yaml.parseDocument(text, { keepSourceTokens: false })
  const { isCollection, isScalar } = yaml
  for (const { path, value } of edits) {
    if (value === undefined) {
      document.deleteIn(path)
      continue
    }
    for (let depth = 1; depth < path.length; depth++) {
      const around = path.slice(0, depth)
      // `lanes:` with nothing below it.
      if (!isCollection(document.getIn(around, true))) document.setIn(around, document.createNode({}))
    }
    const node = quoted(yaml, document, value)
    const old = document.getIn(path, true)
    if (isScalar(old) && isScalar(node)) {
      node.comment = old.comment
      node.commentBefore = old.commentBefore
      node.spaceBefore = old.spaceBefore
    }
    document.setIn(path as Path, node)
  }
  return document.toString({ lineWidth: 0 })
}

/** Text that looks like anything else is quoted: what is a date or a number is not the same for every reader. */
function quoted(yaml: typeof import('yaml'), document: Document, value: unknown) {
  const node = document.createNode(value)
  yaml.visit(node, {
    Scalar(_key, scalar) {
      if (typeof scalar.value === 'string' && !/^[A-Za-z][A-Za-z0-9_./ -]*$/.test(scalar.value)) {
        scalar.type = yaml.Scalar.QUOTE_DOUBLE
      }
    },
  })
  return node
}
