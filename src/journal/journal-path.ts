import { join } from 'node:path'
import type { LoadedConfig } from '../config/load.js'
import { resolveConfigPath } from '../config/paths.js'

/** Where the journal is; null: it has no file. */
export function journalPath({
  config,
  home,
  baseDir,
}: Pick<LoadedConfig, 'config' | 'home' | 'baseDir'>): string | null {
  const { type, path } = config.journal
  if (type === 'memory') return null
  return path === undefined ? join(home, 'journal.db') : resolveConfigPath(baseDir, path.trim())
}
