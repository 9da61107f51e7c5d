import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Static, Type } from '@sinclair/typebox'
import { checkDocument } from '../config/document.js'
import { readFrontMatter } from '../config/front-matter.js'
import { isObject, type Layer } from '../config/merge.js'
import type { Problem } from '../config/problems.js'
import { matchingEvents } from './events.js'
import { DEFAULT_PRIORITY, type HookDefinition } from './registered-hook.js'

const NAME = '^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$'

/** What a hook module says of itself: as `export const metadata`, or at the head of its HOOK.md, where there may be more. */
const Metadata = Type.Object({
  name: Type.Optional(
    Type.String({ pattern: NAME, expected: 'a name of letters, digits, `_` and `-`, at most 64' }),
  ),
  description: Type.Optional(Type.String({ maxLength: 1_024 })),
  events: Type.Array(Type.String(), {
    minItems: 1,
    expected: 'a list of internal events such as agent:failed, or patterns such as agent:*',
  }),
  priority: Type.Optional(Type.Integer({ minimum: -1_000_000, maximum: 1_000_000 })),
  enabled: Type.Optional(Type.Boolean()),
})

const MAX_HOOK_MD_BYTES = 65_536
const HANDLER = 'handler.mjs'
const DESCRIPTION = 'HOOK.md'

interface Candidate {
  readonly name: string
  readonly module: string
  /** Null: the module describes itself. */
  readonly description: string | null
}

/**
 * Loads the hook modules of a folder: `<name>.mjs`, or `<name>/handler.mjs` with its HOOK.md. One that cannot be used is left
 * out and told in `problems`.
 *
 * @param timeoutMs how long one module may take to load
 */
export async function loadHookModules(
  folder: string,
  optional: boolean,
  timeoutMs: number,
  problems: Problem[],
): Promise<HookDefinition[]> {
  const definitions: HookDefinition[] = []
  for (const candidate of await candidatesIn(folder, optional, problems)) {
    try {
      const definition = await load(candidate, timeoutMs, problems)
      if (definition !== null) definitions.push(definition)
    } catch (error) {
      problems.push({ path: '', source: candidate.module, message: `cannot be loaded: ${textOf(error)}` })
    }
  }
  return definitions
}

async function candidatesIn(folder: string, optional: boolean, problems: Problem[]): Promise<Candidate[]> {
  let names: string[]
  try {
    names = await readdir(folder)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT' || !optional) {
      const found = code === 'ENOENT' ? 'nothing' : message
      problems.push({ path: '', source: folder, message: `expected a folder with hooks, found ${found}` })
    }
    return []
  }
  const candidates: Candidate[] = []
  for (const name of names.sort()) {
    if (name.startsWith('.') || name === 'node_modules') continue
    const path = join(folder, name)
    if (name.endsWith('.mjs')) candidates.push({ name: name.slice(0, -4), module: path, description: null })
    else if (await isFile(join(path, DESCRIPTION)))
      candidates.push({ name, module: join(path, HANDLER), description: join(path, DESCRIPTION) })
    else if (await isFile(join(path, HANDLER)))
      candidates.push({ name, module: join(path, HANDLER), description: null })
  }
  return candidates
}

async function load(
  { name, module, description }: Candidate,
  timeoutMs: number,
  problems: Problem[],
): Promise<HookDefinition | null> {
  let metadata: Static<typeof Metadata> | undefined
  if (description !== null) {
    const document = await readFrontMatter(description, MAX_HOOK_MD_BYTES, problems)
    metadata = document && checkDocument(Metadata, document.head, problems)
    if (metadata === undefined) return null
  }
  const loaded = await importFresh(module, timeoutMs)
  if (typeof loaded.default !== 'function') {
    const message = 'expected a function as default export: `async (event, context) => …`'
    problems.push({ path: '', source: module, message })
    return null
  }
  metadata ??= checkDocument(Metadata, exported(loaded.metadata, module), problems)
  if (metadata === undefined) return null
  const { priority = DEFAULT_PRIORITY, enabled = true } = metadata
  try {
    return {
      name: metadata.name ?? name,
      kind: 'module',
      source: module,
      description: metadata.description ?? null,
      events: matchingEvents(metadata.events),
      priority,
      enabled,
      run: loaded.default as HookDefinition['run'],
    }
  } catch (error) {
    problems.push({ path: 'events', source: description ?? module, message: textOf(error) })
    return null
  }
}

function exported(metadata: unknown, module: string): Layer {
  const source = (path: readonly unknown[]) =>
    path.length === 0 ? module : `${module}, the exported \`metadata\``
  return { value: isObject(metadata) ? metadata : {}, source }
}

/** A module that has changed is another one; Node keeps the old one as well. */
async function importFresh(file: string, timeoutMs: number): Promise<Record<string, unknown>> {
  const url = pathToFileURL(file)
  url.searchParams.set('changed', String((await stat(file)).mtimeMs))
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it did not end within ${timeoutMs} ms`)), timeoutMs)
  })
  try {
    return await Promise.race([import(url.href), late])
  } finally {
    clearTimeout(timer)
  }
}

function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isFile(),
    () => false,
  )
}

function textOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
}
