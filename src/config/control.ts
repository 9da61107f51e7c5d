import { join } from 'node:path'
import type { Static } from '@sinclair/typebox'
import type { Log } from '../log.js'
import { type configGet, GatewayError, type JsonObject, type ResultOf } from '../protocol/index.js'
import type { ConfigChanged, ConfigResult } from '../protocol/methods/config.js'
import { Turns } from '../sessions/turns.js'
import {
  conflict,
  exists,
  invalidParams,
  messageOf,
  parseFile,
  plainValue,
  readFile,
  refuseOverridden,
  requirePath,
  valueAt,
} from './change-input.js'
import { readIfThere, replaceFile } from './config-file.js'
import { editText } from './edit-text.js'
import { findConfigFile, hashOf } from './file.js'
import type { LiveConfig, PreparedChange } from './live.js'
import { isBelow } from './live-paths.js'
import type { ConfigLoader, LoadedConfig } from './load.js'
import { editsBetween, mergePatch, withSecrets, withValueAt } from './patch.js'
import { formatPath } from './paths.js'
import { ConfigError, formatProblem, type Problem } from './problems.js'
import { redactConfig } from './redact.js'
import { FileWatch } from './watch.js'

export type ChangeResult = Static<typeof ConfigResult>

/** Who changes the configuration: a principal by RPC, a signal, or whoever wrote the file. */
export interface Origin {
  readonly source: Static<typeof ConfigChanged>['source']
  readonly by: string | null
}

export interface ConfigControlOptions {
  readonly live: LiveConfig
  /** Null: nothing can be read anew, as in a gateway that is part of another program. */
  readonly load: ConfigLoader | null
  /** Says what is wrong with a configuration beyond its shape. @throws ConfigError */
  readonly check: (loaded: LoadedConfig) => Promise<void>
  /** The state folder, where a file is made if there is none. */
  readonly home: string
  /** The file of the start; null: there was none. */
  readonly configFile: string | null
  /** Of its text then. */
  readonly fileHash: string
  readonly log: Log
  readonly isStopping: () => boolean
  readonly onChanged: (payload: Static<typeof ConfigChanged>) => void
  /** It was read anew, or was not. `paths`: what has changed; `error`: why nothing has; null: it went well. */
  readonly onReloaded: (origin: Origin, paths: readonly string[], error: unknown) => void
}

const KEY = 'configuration'

/** Reads, changes and watches the configuration of a running gateway: one change at a time, each whole or not at all. */
export class ConfigControl {
  /** Why what is in the file now is not in use; null: it is, but for what waits for a restart. */
  problem: { readonly at: number; readonly problems: readonly Problem[] } | null = null
  /** Changes that applied, and those that did not; only grow. */
  readonly stats = { applied: 0, refused: 0 }
  readonly #options: ConfigControlOptions
  readonly #turns = new Turns()
  readonly #watch: FileWatch
  #configFile: string | null
  /** Of the file's text that is in use. */
  #hash: string
  /** Of the one that was refused last. */
  #refusedHash: string | null = null
  #waiting = 0
  #closed = false

  constructor(options: ConfigControlOptions) {
    this.#options = options
    this.#configFile = options.configFile
    this.#hash = options.fileHash
    this.#watch = new FileWatch({
      path: () => this.#path(),
      config: options.live.config.configFile,
      onChange: () => this.#fileChanged(),
    })
  }

  /** Begins to watch the file. */
  async start(): Promise<void> {
    if (this.#options.load === null) return
    await this.#watch.start()
    // What happened since the start has read it.
    if (this.#options.live.config.configFile.watchIntervalMs > 0) await this.#fileChanged()
  }

  /** Takes no further change, and resolves when the one under way has ended. Twice is fine. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#watch.close()
    await this.#turns.end(KEY)
  }

  /** @throws `INVALID_REQUEST` or `NOT_FOUND` for a path that names nothing. */
  get(pathText = ''): ResultOf<typeof configGet> {
    const { live } = this.#options
    const { config, sources } = live.loaded
    const value = valueAt(redactConfig(config), requirePath(pathText))
    if (value === undefined) {
      throw new GatewayError('NOT_FOUND', `Nothing is configured at '${pathText}'.`, {
        details: { path: pathText },
      })
    }
    const path = formatPath(requirePath(pathText))
    const shown = [...(sources ?? [])].filter(([leaf]) => isBelow(leaf, path))
    return {
      value,
      sources: Object.fromEntries(shown),
      file: this.#configFile,
      hash: this.#hash,
      pending: live.pending,
      problem: this.problem === null ? null : { at: this.problem.at, problems: [...this.problem.problems] },
    }
  }

  /** Sets one value in the file, or removes it (null), and applies that. */
  set(pathText: string, value: unknown, baseHash: string | undefined, origin: Origin, signal: AbortSignal) {
    const path = requirePath(pathText)
    if (path.length === 0) throw invalidParams('params.path', 'a path such as lanes.capacity')
    const given = plainValue(value ?? undefined)
    return this.#change((file) => withValueAt(file, path, given), baseHash, origin, signal)
  }

  /** Merges a patch into the file (RFC 7396), and applies that. @throws `CONFLICT` where the file is another by now. */
  patch(patch: JsonObject, baseHash: string, origin: Origin, signal: AbortSignal) {
    const given = plainValue(patch)
    return this.#change((file) => mergePatch(file, given) as JsonObject, baseHash, origin, signal)
  }

  /** Reads file, environment and flags anew, and applies what has changed. */
  reload(origin: Origin, signal?: AbortSignal): Promise<ChangeResult> {
    return this.#told(origin, () => this.#reload(origin, signal))
  }

  #reload(origin: Origin, signal?: AbortSignal): Promise<ChangeResult> {
    return this.#inTurn(signal, async () => {
      const load = this.#loader()
      try {
        const next = await load()
        const prepared = await this.#prepare(next)
        await this.#commit(prepared)
        return this.#done(next, prepared, origin)
      } catch (error) {
        this.#refused(error)
        throw error
      }
    })
  }

  async #change(
    edit: (file: JsonObject) => JsonObject,
    baseHash: string | undefined,
    origin: Origin,
    signal: AbortSignal,
  ): Promise<ChangeResult> {
    return this.#inTurn(signal, async () => {
      const load = this.#loader()
      const path = await this.#path()
      const text = await readFile(path)
      const hash = hashOf(text)
      if (baseHash !== undefined && baseHash !== hash) throw conflict(hash)
      const before = await parseFile(path, text)
      const after = withSecrets(edit(before), before)
      const edits = editsBetween(before, after)
      const draft = edits.length === 0 ? text : await editText(path, text, before, after)
      const next = await load({ path, text: draft })
      refuseOverridden(edits, next)
      const prepared = await this.#prepare(next)
      if (draft !== text) await this.#write(path, text, draft, prepared)
      try {
        await this.#commit(prepared)
      } catch (error) {
        await this.#replace(path, text)
        throw error
      }
      return this.#done(next, prepared, origin)
    })
  }

  #loader(): ConfigLoader {
    const { load } = this.#options
    if (load !== null) return load
    const message = 'This gateway was not started from a configuration file: it cannot be changed by RPC.'
    throw new GatewayError('UNAVAILABLE', message, { retryable: false })
  }

  async #prepare(next: LoadedConfig): Promise<PreparedChange> {
    await this.#options.check(next)
    return this.#options.live.prepare(next)
  }

  async #commit(prepared: PreparedChange): Promise<void> {
    try {
      await prepared.commit()
    } catch (err) {
      this.#options.log.error({ err }, 'a change of the configuration failed and was rolled back')
      const message = 'The change failed and was rolled back; the gateway log has the cause.'
      throw new GatewayError('UNAVAILABLE', message, { retryable: false })
    }
  }

  /** Nobody's work is lost: what was written by hand in the meantime stays. */
  async #write(path: string, before: string, draft: string, prepared: PreparedChange): Promise<void> {
    try {
      const now = await readFile(path)
      if (now !== before) throw conflict(hashOf(now))
      await this.#replace(path, draft)
    } catch (error) {
      await prepared.discard()
      if (error instanceof GatewayError) throw error
      this.#options.log.warn({ err: error, path }, 'the configuration file cannot be written')
      const { code = 'unknown' } = error as NodeJS.ErrnoException
      throw new GatewayError('UNAVAILABLE', `The configuration file cannot be written (${code}).`, {
        details: { path },
        retryable: false,
      })
    }
  }

  async #replace(path: string, text: string): Promise<void> {
    await replaceFile(path, text, this.#options.live.config.configFile.backups)
    await this.#watch.seen()
  }

  #done(next: LoadedConfig, prepared: PreparedChange, origin: Origin): ChangeResult {
    const { live, log, onChanged } = this.#options
    const applied = [...prepared.applied]
    const restartRequired = [...prepared.restartRequired]
    this.#configFile = next.configFile
    this.#hash = next.fileHash
    this.#refusedHash = null
    this.problem = null
    if (applied.length + restartRequired.length > 0) {
      this.stats.applied++
      log.info({ ...origin, applied, restartRequired }, 'configuration changed')
      onChanged({ ...origin, paths: [...applied, ...restartRequired], restartRequired })
    }
    return { applied, restartRequired, pending: live.pending, hash: next.fileHash }
  }

  async #told(origin: Origin, work: () => Promise<ChangeResult>): Promise<ChangeResult> {
    const { onReloaded } = this.#options
    let result: ChangeResult
    try {
      result = await work()
    } catch (error) {
      // Else a stop would be told as a change that failed.
      if (!this.#closed) onReloaded(origin, [], error)
      throw error
    }
    onReloaded(origin, [...result.applied, ...result.restartRequired], null)
    return result
  }

  #refused(error: unknown): readonly Problem[] {
    const problems = error instanceof ConfigError ? error.problems : [{ path: '', message: messageOf(error) }]
    this.problem = { at: Date.now(), problems }
    return problems
  }

  /** Never rejects. */
  async #fileChanged(): Promise<void> {
    const { log } = this.#options
    try {
      const path = await this.#path()
      const hash = await readIfThere(path).then(hashOf, () => null)
      const isKnown = hash === this.#refusedHash || (hash === this.#hash && this.problem === null)
      if (hash !== null && isKnown) return
      this.#refusedHash = hash
      const origin: Origin = { source: 'file', by: null }
      await this.#told(origin, async () => {
        if (this.#configFile !== null && !(await exists(path))) {
          // More often an editor or a mount at work than someone who wants all of it to be the default.
          throw new ConfigError([{ path: '', source: path, message: 'the configuration file is gone' }])
        }
        return this.#reload(origin)
      })
    } catch (error) {
      if (this.#closed) return
      const problems = this.#refused(error).map(formatProblem)
      log.error({ problems }, 'the changed configuration file is not used; it goes on as it was')
    }
  }

  async #path(): Promise<string> {
    const { home } = this.#options
    return this.#configFile ?? (await findConfigFile(home, [])) ?? join(home, 'config.yaml')
  }

  /** One after the other. */
  async #inTurn<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    const { maxPendingChanges } = this.#options.live.config.configFile
    if (this.#waiting >= maxPendingChanges) {
      throw new GatewayError('UNAVAILABLE', 'Too many changes of the configuration wait; try again later.', {
        retryAfterMs: 1_000,
      })
    }
    this.#waiting++
    try {
      return await this.#turns.take(KEY, async () => {
        signal?.throwIfAborted()
        if (this.#closed || this.#options.isStopping())
          throw new GatewayError('UNAVAILABLE', 'The gateway is stopping.', { retryAfterMs: 1_000 })
        return work()
      })
    } catch (error) {
      this.stats.refused++
      throw error
    } finally {
      this.#waiting--
    }
  }
}
