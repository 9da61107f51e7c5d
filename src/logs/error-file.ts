import { copyFile, stat, truncate } from 'node:fs/promises'

const CHECK_MS = 60_000

/**
 * Keeps the file that standard output and standard error go to from growing without bound: one that is larger is copied to
 * `….1` and emptied, since who writes to it, plugins and programs of agents among them, cannot be told to open another.
 * It goes on for as long as the process lives.
 */
export function boundErrorFile(path: string, maxBytes: () => number): void {
  const check = async () => {
    try {
      if ((await stat(path)).size <= maxBytes()) return
      await copyFile(path, `${path}.1`)
      await truncate(path, 0)
    } catch {
      // The disk is full, or the file has gone: there is nobody to tell but that file.
    }
  }
  void check()
  setInterval(() => void check(), CHECK_MS).unref()
}
