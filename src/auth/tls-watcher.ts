import { once } from 'node:events'
import { realpath } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { FSWatcher } from 'chokidar'
import type { Log } from '../log.js'
import { readTlsMaterial, type TlsMaterial } from './tls-material.js'

/** Certificate and key are two files: what happens to both within this time is one renewal. */
const SETTLE_MS = 250

export interface TlsWatcherOptions {
  readonly material: TlsMaterial
  readonly log: Log
  /** Puts a renewed certificate to use. */
  readonly apply: (material: TlsMaterial) => void
  /** A renewal was put to use, or (with the reason) was not. */
  readonly onReload?: (error: Error | null) => void
}

/**
 * Watches the folders of certificate and key, and loads both when either changes. Folders, because a watch on a file
 * goes silent once another file is renamed over it, and because Kubernetes swaps a symlink beside the file.
 */
export class TlsWatcher {
  /** What is in use. */
  material: TlsMaterial
  /** When a renewed certificate was last put to use, ms since the epoch; null: not yet. */
  lastReload: number | null = null
  /** Why what is in the files now is not in use; null: it is. */
  lastError: string | null = null
  readonly #options: TlsWatcherOptions
  #watcher: FSWatcher | null = null
  #timer: NodeJS.Timeout | null = null
  #reloading: Promise<void> = Promise.resolve()
  #closed = false

  constructor(options: TlsWatcherOptions) {
    this.#options = options
    this.material = options.material
  }

  /** Begins to watch; what has changed since the files were read is found. A failure to watch is logged. */
  async start(): Promise<void> {
    // Only those who use TLS pay for loading it.
    const { watch } = await import('chokidar')
    const { certPath, keyPath } = this.material
    const real = await Promise.all([certPath, keyPath].map((path) => realpath(path).catch(() => path)))
    const files = new Set([certPath, keyPath, ...real])
    const folders = new Set([...files].map(dirname))
    const watcher = watch([...folders], {
      depth: 0,
      ignoreInitial: true,
      ignored: (path) => !folders.has(path) && !files.has(path),
    })
    this.#watcher = watcher
    watcher.on('error', (err) => {
      this.#options.log.error(
        { err, certPath, keyPath },
        'TLS files are not watched; a renewal needs a restart',
      )
    })
    watcher.on('all', this.#changed)
    // A swapped symlink beside the files is none of the watched paths, but it is something that happens in the folder.
    watcher.on('raw', this.#changed)
    // It rejects with the error that the listener above has logged.
    await once(watcher, 'ready').catch(() => {})
    this.#changed()
  }

  /** Stops watching and waits for a reload that is under way. */
  async close(): Promise<void> {
    this.#closed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    await this.#watcher?.close()
    await this.#reloading
  }

  readonly #changed = (): void => {
    // One that is set stays as it is: in a busy folder it would else be put off for ever.
    if (this.#closed || this.#timer !== null) return
    this.#timer = setTimeout(() => {
      this.#timer = null
      this.#reloading = this.#reloading.then(() => this.#reload())
    }, SETTLE_MS).unref()
  }

  async #reload(): Promise<void> {
    const { log, apply, onReload } = this.#options
    const { certPath, keyPath, cert, key } = this.material
    try {
      const renewed = await readTlsMaterial(certPath, keyPath)
      const isSame = renewed.cert === cert && renewed.key === key
      if (isSame && this.lastError === null) return
      const expiresAt = new Date(renewed.expiresAt).toISOString()
      if (isSame) {
        log.info({ certPath, expiresAt }, 'TLS files are those in use again')
      } else {
        apply(renewed)
        this.material = renewed
        this.lastReload = Date.now()
        log.info({ certPath, expiresAt }, 'TLS certificate renewed')
        for (const warning of renewed.warnings) log.warn({ certPath, keyPath }, warning)
      }
      this.lastError = null
      onReload?.(null)
    } catch (error) {
      const { message } = error as Error
      // Files that change more than once are reported once for each thing that is wrong.
      if (message === this.lastError) return
      this.lastError = message
      log.error(
        { err: error, certPath, keyPath },
        'renewed TLS files refused; the old certificate stays in use',
      )
      onReload?.(error as Error)
    }
  }
}
