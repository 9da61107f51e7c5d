/** The code of an SQLite or system error, such as `SQLITE_FULL` or `EACCES`; an empty string for anything else. */
export function errorCode(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : ''
}

/** Whether the file itself may be damaged, and writing on make it worse. A disk that fails to read looks the same. */
export const isDamage = (code: string): boolean =>
  code.startsWith('SQLITE_CORRUPT') || code.startsWith('SQLITE_NOTADB')

/** Whether the disk failed, and what was written before may not be on it. */
export const isIoError = (code: string): boolean => code.startsWith('SQLITE_IOERR') || code === 'EIO'

/** Whether there is no room. Without any, SQLite cannot make the index of a log either. */
export const isFull = (code: string): boolean =>
  /^(SQLITE_FULL|SQLITE_IOERR_SHMSIZE|ENOSPC|EDQUOT)/.test(code)

/** The file can be read and is not what it has to be: trying again does not help. */
export class DamageError extends Error {
  override readonly name = 'DamageError'
  readonly code = DAMAGED
}

export const DAMAGED = 'JOURNAL_DAMAGED'

const OWN_FAULT = ['SQLITE_CONSTRAINT', 'SQLITE_TOOBIG', 'SQLITE_MISMATCH', 'SQLITE_RANGE']

/** Whether one write of a batch is at fault, so that the others can go on without it. */
export const isOwnFault = (code: string): boolean =>
  !code.startsWith('SQLITE_') || OWN_FAULT.some((prefix) => code.startsWith(prefix))

const RESTORE = 'Stop the gateway, move the file away or restore a backup, start again'
const SUSPICION = `the disk does not read, or the file is damaged. Check the disk; if it is well: ${RESTORE}`

const CAUSES: readonly (readonly [prefix: string, text: string])[] = [
  ['SQLITE_FULL', 'the disk is full. Free some space; writing resumes by itself'],
  ['SQLITE_BUSY', 'another program holds the database. Stop it; writing resumes by itself'],
  [
    'SQLITE_READONLY',
    'it may not be written. Check its permissions and its mount; writing resumes by itself',
  ],
  ['SQLITE_CORRUPT', SUSPICION],
  ['SQLITE_NOTADB', SUSPICION],
]

/** For an operator: what stops the journal from writing, and what to do. */
export function describeFailure(path: string, code: string, message: string): string {
  if (code === DAMAGED) return `The journal ${path} is out of use: ${message}. ${RESTORE}.`
  const known = CAUSES.find(([prefix]) => code.startsWith(prefix))?.[1]
  const text = known ?? `${message}. Check the disk and its mount; writing resumes by itself`
  return `The journal ${path} cannot write: ${text} (${code || 'error'}).`
}
