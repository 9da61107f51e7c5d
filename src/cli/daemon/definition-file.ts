import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { CliError } from '../cli-error.js'
import { EXIT } from '../exit-codes.js'
import type { Installed } from './service-manager.js'

/** UTF-16 is what the Task Scheduler reads; then the file has a byte order mark. */
export type Encoding = 'utf8' | 'utf16le'

const BYTE_ORDER_MARK = '\ufeff'

/** Null: there is none. */
export function readDefinition(path: string, encoding: Encoding = 'utf8'): string | null {
  try {
    return readFileSync(path, encoding).replace(BYTE_ORDER_MARK, '')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw refused(error)
  }
}

/** Writes it whole or not at all, where it is not there already. */
export function writeDefinition(path: string, text: string, encoding: Encoding = 'utf8'): Installed {
  const before = readDefinition(path, encoding)
  if (before === text) return 'unchanged'
  const temporary = `${path}.${process.pid}`
  try {
    mkdirSync(dirname(path), { recursive: true })
    const mark = encoding === 'utf16le' ? BYTE_ORDER_MARK : ''
    writeFileSync(temporary, `${mark}${text}`, { encoding, mode: 0o644 })
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw refused(error)
  }
  return before === null ? 'installed' : 'updated'
}

/** Returns what was removed. */
export function removeDefinition(path: string): string[] {
  if (readDefinition(path) === null) return []
  try {
    rmSync(path)
  } catch (error) {
    throw refused(error)
  }
  return [path]
}

function refused(error: unknown): CliError {
  const { code, message } = error as NodeJS.ErrnoException
  const isPermission = code === 'EACCES' || code === 'EPERM'
  return new CliError(isPermission ? EXIT.NO_PERMISSION : EXIT.FAILED, message)
}
