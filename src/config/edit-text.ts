import { isDeepStrictEqual } from 'node:util'
import type { Document } from 'yaml'
import type { JsonObject } from '../protocol/index.js'
import { isJson, parseConfigText } from './file.js'
import { type Edit, editsBetween } from './patch.js'
import type { Path } from './paths.js'
import { ConfigError } from './problems.js'

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
    : // The library throws at what it cannot edit.
      await editYaml(text, editsBetween(before, after)).catch(() => '')
  const layer = await parseConfigText(path, edited, [])
  if (layer !== undefined && isDeepStrictEqual(layer.value, after)) return edited
  const message = 'the file cannot be edited without losing something of it: edit it by hand'
  throw new ConfigError([{ path: '', source: path, message }])
}

function indentOf(json: string): number | string {
  return /^[{[]\r?\n([ \t]+)/.exec(json)?.[1] ?? 2
}

async function editYaml(text: string, edits: readonly Edit[]): Promise<string> {
  // Only those who change a file pay for loading it.
  const yaml = await import('yaml')
  const document = yaml.parseDocument(text, { keepSourceTokens: false })
  const { isScalar } = yaml
  for (const { path, value } of edits) {
    if (value === undefined) {
      document.deleteIn(path)
      continue
    }
    const node = quoted(yaml, document, value)
    const old = document.getIn(path, true)
    if (isScalar(old) && isScalar(node)) {
      node.comment = old.comment
      node.commentBefore = old.commentBefore
      node.spaceBefore = old.spaceBefore
    } else if (isScalar(old)) {
      // `lanes: # serial` with nothing below it.
      node.commentBefore = old.comment ?? old.commentBefore
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
