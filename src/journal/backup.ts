import { existsSync, lstatSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { InspectDepth, JournalInspection } from './inspect.js'
import { inspectApart } from './inspect-apart.js'
import { JournalError } from './journal-error.js'
import { type JournalFacts, readFacts } from './journal-facts.js'
import {
  type CopyOptions,
  copyDatabase,
  giveToOwner,
  publishFile,
  removeDraft,
  replaceJournal,
  sealDatabase,
} from './replace-file.js'
import { isFull } from './sqlite-errors.js'
import { settlePath } from './sqlite-file.js'
import { acquireLock } from './sqlite-lock.js'

export interface BackupReport {
  readonly file: string
  readonly bytes: number
  readonly facts: JournalFacts
}

export interface RestoreReport extends BackupReport {
  /** The new name of the journal that was there; null: there was none. */
  readonly aside: string | null
  /** How many positions that one had given after the backup; null: it does not say. */
  readonly lostPositions: number | null
}

/**
 * Copies the journal at `path` to the new file `file`, whether a gateway is at work with it or not: a snapshot, so whatever was
 * acknowledged before it began is in it. The copy is read through and compared before it gets its name.
 * @throws JournalError
 */
export async function backupJournal(
  path: string,
  file: string,
  options: CopyOptions = {},
): Promise<BackupReport> {
  const target = resolve(file)
  requireFree(target)
  if (!existsSync(path))
    throw new JournalError(path, 'it is not there', 'Start the gateway once, or name another.')
  const draft = `${target}.${process.pid}.part`
  try {
    const facts = await copyDatabase(path, draft, (db) => readFacts(db, Date.now()), options)
    sealDatabase(draft)
    await verify(draft, target, facts, options.signal)
    const bytes = statSync(draft).size
    publishFile(draft, target)
    return { file: target, bytes, facts }
  } catch (error) {
    throw copyError(path, target, error, options.signal)
  } finally {
    removeDraft(draft)
  }
}

/**
 * Puts a backup in the place of the journal at `path`, which is kept under another name. No gateway may use it. The restored one
 * has an epoch of its own: a client that had later positions is told that they are gone, instead of missing what now has
 * the same ones.
 * @throws JournalError, and then the journal is as it was
 */
export async function restoreJournal(
  file: string,
  path: string,
  options: CopyOptions = {},
): Promise<RestoreReport> {
  const source = resolve(file)
  await requireSound(source, 'full', options.signal)
  const journal = settlePath(path)
  const lock = acquireLock(journal)
  const draft = `${journal}.${process.pid}.part`
  try {
    const before = await lastPosition(journal, options.signal)
    const facts = await copyDatabase(source, draft, (db) => readFacts(db, Date.now()), options)
    sealDatabase(draft, (db) => {
      db.exec("UPDATE meta SET value = lower(hex(randomblob(12))) WHERE name = 'epoch'")
    })
    const { facts: restored } = await requireSound(draft, 'quick', options.signal)
    const bytes = statSync(draft).size
    giveToOwner(dirname(journal), draft, `${journal}.lock`)
    const aside = replaceJournal(journal, draft)
    const lostPositions = before === null ? null : Math.max(0, before - facts.seq)
    return { file: journal, bytes, facts: restored!, aside, lostPositions }
  } catch (error) {
    throw copyError(source, journal, error, options.signal)
  } finally {
    removeDraft(draft)
    lock.release()
  }
}

/** Of the journal that is to be replaced; 0: there is none; null: it does not say, as one so damaged that its reader dies. */
async function lastPosition(journal: string, signal?: AbortSignal): Promise<number | null> {
  if (!existsSync(journal)) return 0
  try {
    return (await inspectApart(journal, 'quick', signal)).facts?.seq ?? null
  } catch (error) {
    if (signal?.aborted) throw error
    return null
  }
}

function requireFree(target: string): void {
  if (lstatSync(target, { throwIfNoEntry: false }) === undefined) return
  throw taken(target)
}

function taken(target: string, options?: ErrorOptions): JournalError {
  const problem = 'there is a file of that name already'
  return new JournalError(target, problem, 'Give the backup another name.', options)
}

/** Reads a journal file through. @throws JournalError with the first of what is wrong with it */
async function requireSound(
  path: string,
  depth: InspectDepth,
  signal?: AbortSignal,
): Promise<JournalInspection> {
  const found = await inspectApart(path, depth, signal)
  const [first] = found.problems
  if (first === undefined) return found
  throw new JournalError(path, first.message, 'It was not used, and nothing was changed.')
}

async function verify(
  draft: string,
  target: string,
  facts: JournalFacts,
  signal?: AbortSignal,
): Promise<void> {
  const { facts: copied } = await requireSound(draft, 'quick', signal)
  const essence = ({ version, epoch, seq, counts }: JournalFacts) =>
    JSON.stringify([version, epoch, seq, Object.entries(counts)])
  if (copied !== null && essence(copied) === essence(facts)) return
  throw new JournalError(target, 'the copy is not what was copied', 'Check the disk, and try again.')
}

/** What keeps `target` from being made of `path`, in words; an abort as it is. */
export function copyError(path: string, target: string, error: unknown, signal?: AbortSignal): unknown {
  if (signal?.aborted || error instanceof JournalError) return error
  const { code = '', message } = error as { code?: string; message: string }
  if (code === 'EEXIST') return taken(target, { cause: error })
  if (isFull(code)) {
    const remedy = 'Nothing was changed; free some space, and try again.'
    return new JournalError(target, 'the disk is full', remedy, { cause: error })
  }
  const remedy = `${path} was not changed.`
  return new JournalError(target, `it cannot be made: ${message}`, remedy, { cause: error })
}
