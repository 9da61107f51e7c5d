import { stat } from 'node:fs/promises'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { Type } from '@sinclair/typebox'
import { parseOptions } from '../config/parse-options.js'
import { resolveConfigPath } from '../config/paths.js'
import { ConfigError } from '../config/problems.js'
import { GatewayError, type InboundEvent, JsonObject } from '../protocol/index.js'
import { abortable, abortError } from './abort.js'
import type { Agent, AgentFactoryContext, AgentReply, HistoryMessage, RunContext } from './agent.js'

export const ModuleOptions = Type.Object(
  {
    path: Type.String({
      minLength: 1,
      expected: 'the path of an ES module',
      description: 'The ES module; relative to the configuration file’s folder.',
    }),
    options: Type.Optional(
      Type.Unsafe<JsonObject>({
        ...JsonObject,
        description: 'Handed to the module as `context.options`.',
      }),
    ),
  },
  { additionalProperties: false },
)

/** What a module's function is given besides the event. */
export interface ModuleContext
  extends Pick<
    RunContext,
    | 'session'
    | 'runId'
    | 'events'
    | 'attempt'
    | 'skills'
    | 'signal'
    | 'log'
    | 'traceparent'
    | 'tracestate'
    | 'onSteer'
    | 'report'
    | 'ask'
  > {
  /** The messages before the event's own, oldest first, as many as the configured window holds. */
  readonly history: readonly HistoryMessage[]
  /** The `options` of the agent's entry in the configuration. */
  readonly options: JsonObject
  /** Streams a piece of the answer; a generator's yields are streamed anyway. */
  delta(text: string): void
}

/** What a module may answer with; nothing, or an empty text, ends the run without a message. */
export type ModuleAnswer = string | undefined | AgentReply

/** The default export of a module; a generator need not return anything: its deltas are the answer. */
export type ModuleFunction = (
  event: InboundEvent,
  context: ModuleContext,
) => ModuleAnswer | PromiseLike<ModuleAnswer> | AsyncIterable<string>

/**
 * An agent whose brain is a local ES module (spec §4).
 *
 * @throws ConfigError when the module cannot be loaded or its default export is no function
 */
export async function createModuleAgent(options: JsonObject, context: AgentFactoryContext): Promise<Agent> {
  const { path, options: moduleOptions = {} } = parseOptions(ModuleOptions, options)
  const answer = await load(resolveConfigPath(context.baseDir, path))
  return {
    type: 'module',
    async run(event, run) {
      const { signal } = run
      if (signal.aborted) throw abortError(signal)
      try {
        const history = await abortable(run.history(), signal)
        const given = { ...run, history, options: moduleOptions }
        const result = await abortable(Promise.resolve(answer(event, given)), signal)
        return isAsyncIterable(result) ? await drain(result, run) : reply(result, undefined)
      } catch (error) {
        // A module that heeds its signal rejects in its own words.
        throw signal.aborted ? abortError(signal) : error
      }
    },
  }
}

async function load(file: string): Promise<ModuleFunction> {
  const refuse = (message: string) => new ConfigError([{ path: 'path', message: `${message} (${file})` }])
  const expected = 'expected an ES module whose default export is `async (event, context) => string`'
  const isFile = await stat(file).then(
    (stats) => stats.isFile(),
    (error: NodeJS.ErrnoException) => {
      throw refuse(`${expected}, found ${error.code === 'ENOENT' ? 'no such file' : error.message}`)
    },
  )
  if (!isFile) throw refuse(`${expected}, found no file but something else`)
  let loaded: { default?: unknown }
  try {
    loaded = await import(pathToFileURL(file).href)
  } catch (error) {
    throw refuse(`${expected}, but loading it failed: ${loadFailure(error)}`)
  }
  if (typeof loaded.default === 'function') return loaded.default as ModuleFunction
  throw refuse(
    loaded.default === undefined
      ? `${expected}, found no default export`
      : `${expected}, found ${kind(loaded.default)} as default export`,
  )
}

function loadFailure(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  // Only Node's own report of an uncaught one has the place.
  const hint = error instanceof SyntaxError ? '; run it with `node` to see where' : ''
  return `${error.name}: ${error.message}${hint}`
}

/** A generator that never waits for anything would keep the others waiting, and its own time limit: so many yields a turn. */
const YIELDS_A_TURN = 100

/** Streams what a generator yields. A generator that hangs is left behind: nobody waits for its `return`. */
async function drain(iterable: AsyncIterable<unknown>, run: RunContext): Promise<AgentReply> {
  const iterator = iterable[Symbol.asyncIterator]()
  let text = ''
  let ended = false
  try {
    for (let yields = 1; ; yields++) {
      if (yields % YIELDS_A_TURN === 0) await nextTurn()
      // Made by hand, it may give what is no promise.
      const step = await abortable(Promise.resolve(iterator.next()), run.signal)
      ended = step.done === true
      if (step.done) return reply(step.value, text)
      if (typeof step.value !== 'string') throw badAnswer(step.value, 'yielded', 'text')
      if (step.value === '') continue
      text += step.value
      run.delta(step.value)
    }
  } finally {
    if (!ended) leave(iterator)
  }
}

function leave(iterator: AsyncIterator<unknown>): void {
  Promise.resolve()
    .then(() => iterator.return?.())
    .catch(() => {})
}

/** @param streamed what a generator yielded, its answer where it returns none */
function reply(value: unknown, streamed: string | undefined): AgentReply {
  if (value === undefined) return { content: streamed ?? '' }
  if (typeof value === 'string') return { content: value }
  if (!isObject(value)) throw badAnswer(value, 'returned', ANSWER)
  const { content = streamed, metadata, usage } = value
  if (typeof content !== 'string') throw badAnswer(content, 'returned as `content`', 'text')
  for (const [name, part] of Object.entries({ metadata, usage })) {
    if (part !== undefined && !isObject(part)) throw badAnswer(part, `returned as \`${name}\``, 'an object')
  }
  return { content, metadata: metadata as JsonObject | undefined, usage: usage as JsonObject | undefined }
}

const ANSWER = 'text, or {content, metadata?, usage?}'

/** Another try would answer no better: the module is wrong. */
function badAnswer(value: unknown, how: string, expected: string): GatewayError {
  const message = `The agent’s module ${how} ${kind(value)}; expected ${expected}.`
  return new GatewayError('INTERNAL_ERROR', message)
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function kind(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (Array.isArray(value)) return 'an array'
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}
