import { statSync } from 'node:fs'
import type { Database } from 'better-sqlite3'
import { type JournalFacts, readFacts } from './journal-facts.js'
import type { JournalProblem, ProblemKind } from './journal-problems.js'
import { APPLICATION_ID, MIGRATIONS, migrate, SCHEMA_VERSION } from './schema.js'
import { Sqlite } from './sqlite-driver.js'

/** More are as good as any number. */
const MAX_PROBLEMS = 100
const BUSY_TIMEOUT_MS = 2_000

export interface JournalInspection {
  readonly path: string
  /** Bytes of the database, and of the write-ahead log beside it. */
  readonly bytes: number
  readonly logBytes: number
  /** Null: too damaged to be read. */
  readonly facts: JournalFacts | null
  readonly problems: readonly JournalProblem[]
}

/** `quick` leaves out whether the indexes agree with their tables. */
export type InspectDepth = 'quick' | 'full'

/** Reads a journal through, whether or not a gateway is at work with it, and changes nothing. Does not throw. */
export function inspectJournal(path: string, depth: InspectDepth, now = Date.now()): JournalInspection {
  const sizeOf = (file: string) => statSync(file, { throwIfNoEntry: false })?.size ?? 0
  const found = { path, bytes: sizeOf(path), logBytes: sizeOf(`${path}-wal`), facts: null }
  let db: Database | undefined
  try {
    db = new Sqlite(path, { readonly: true, fileMustExist: true, timeout: BUSY_TIMEOUT_MS })
    // All of it is read as of one moment.
    db.exec('BEGIN')
    const foreign = foreignness(db)
    if (foreign !== null) return { ...found, problems: [{ kind: 'foreign', message: foreign }] }
    return { ...found, ...readThrough(db, depth, now) }
  } catch (error) {
    return { ...found, problems: [problemOf(error)] }
  } finally {
    db?.close()
  }
}

/** Whatever of it can be read: where one part is damaged, the others may tell more. */
function readThrough(
  db: Database,
  depth: InspectDepth,
  now: number,
): Pick<JournalInspection, 'facts' | 'problems'> {
  const problems: JournalProblem[] = []
  for (const look of [integrity, shape, positions]) {
    try {
      problems.push(...look(db, depth))
    } catch (error) {
      problems.push(problemOf(error))
    }
  }
  try {
    return { facts: readFacts(db, now), problems }
  } catch (error) {
    if (problems.length === 0) problems.push(problemOf(error))
    return { facts: null, problems }
  }
}

function problemOf(error: unknown): JournalProblem {
  const { code = '', message } = error as { code?: string; message: string }
  if (code.startsWith('SQLITE_NOTADB')) return { kind: 'foreign', message: 'it is no database' }
  const kind = code.startsWith('SQLITE_CORRUPT') ? 'data' : 'access'
  return { kind, message: code === '' || message.includes(code) ? message : `${message} (${code})` }
}

function foreignness(db: Database): string | null {
  const read = (name: string) => db.pragma(name, { simple: true }) as number
  if (read('application_id') !== APPLICATION_ID) return 'it is no journal of this program'
  const version = read('user_version')
  if (version >= 1 && version <= SCHEMA_VERSION) return null
  return `its schema is version ${version}, and this program knows versions up to ${SCHEMA_VERSION}`
}

function integrity(db: Database, depth: InspectDepth): JournalProblem[] {
  const pragma = depth === 'full' ? 'integrity_check' : 'quick_check'
  const lines: string[] = []
  try {
    for (const row of db.prepare<unknown[], string>(`PRAGMA ${pragma}(${MAX_PROBLEMS})`).pluck().iterate()) {
      lines.push(...row.split('\n').filter((line) => line !== 'ok' && !line.startsWith('***')))
    }
  } catch (error) {
    // It looks at the structure of every tree first, and only then at rows, which a damaged tree keeps it from reading.
    if (lines.length === 0) throw error
  }
  if (lines.length === 0) return []
  const problems = lines.map((message) => ({ kind: kindOf(message, db), message }))
  const last = problems.at(-1)!
  // It stopped there; rows that an index lacks come after every tree was looked at.
  if (lines.length >= MAX_PROBLEMS) problems.push({ kind: last.kind, message: 'there may be more' })
  return problems
}

/** In the words of SQLite's `integrity_check`. */
function kindOf(line: string, db: Database): ProblemKind {
  if (/^(Freelist|Page \d+): (size is|never used)/.test(line)) return 'space'
  if (/FTS5 table main\.search$/.test(line)) return 'search'
  const index = /^(?:row \d+ missing from|wrong # of entries in|non-unique entry in) index (\S+)$/.exec(line)
  if (index !== null) return ownerKind(db, 'name = ?', index[1]!)
  const tree = /^Tree (\d+) /.exec(line)
  return tree === null ? 'data' : ownerKind(db, 'rootpage = ?', Number(tree[1]))
}

function ownerKind(db: Database, where: string, value: string | number): ProblemKind {
  const owner = db
    .prepare<unknown[], { type: string; name: string }>(`SELECT type, name FROM sqlite_master WHERE ${where}`)
    .get(value)
  if (owner?.type === 'index') return 'index'
  return owner !== undefined && isOfSearch(owner.name) ? 'search' : 'data'
}

/** The tables that FTS5 keeps its index of words in. */
export const isOfSearch = (name: string): boolean => /^search(_(data|idx|docsize|config))?$/.test(name)

/** Whether it has the tables and indexes of its version, and no others. */
function shape(db: Database): JournalProblem[] {
  const model = new Sqlite(':memory:')
  try {
    migrate(model, MIGRATIONS.slice(0, db.pragma('user_version', { simple: true }) as number))
    const wanted = definitionsOf(model)
    const present = definitionsOf(db)
    const problem = (message: string): JournalProblem => ({ kind: 'data', message })
    return [
      ...[...wanted].filter(([name]) => !present.has(name)).map(([name]) => problem(`${name} is missing`)),
      ...[...present]
        .filter(([name, sql]) => wanted.get(name) !== sql)
        .map(([name]) => problem(`${name} is not as this program makes it`)),
    ]
  } finally {
    model.close()
  }
}

function definitionsOf(db: Database): Map<string, string | null> {
  const rows = db
    .prepare<unknown[], { name: string; sql: string | null }>(
      `SELECT type || ' ' || name AS name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_stat%'`,
    )
    .all()
  return new Map(rows.map(({ name, sql }) => [name, sql]))
}

/**
 * A position is given once: none may be above the last that was counted. Gaps mean nothing, since what was delivered and what
 * retention removed had positions too.
 */
function positions(db: Database): JournalProblem[] {
  const counted =
    db.prepare<unknown[], number>("SELECT value FROM meta WHERE name = 'seq'").pluck().get() ?? 0
  const outbox = (db.pragma('user_version', { simple: true }) as number) >= 3
  const highest = (table: string) =>
    db.prepare<unknown[], number | null>(`SELECT max(seq) FROM ${table} NOT INDEXED`).pluck().get() ?? 0
  const tables = ['entries', 'inbox', ...(outbox ? ['outbox'] : [])]
  const problems = tables
    .filter((table) => highest(table) > counted)
    .map((table) => `positions in ${table} reach ${highest(table)}, and only ${counted} were counted`)
  const chain = db
    .prepare('SELECT count(*) FROM entries NOT INDEXED WHERE prev >= seq')
    .pluck()
    .get() as number
  if (chain > 0) problems.push(`${chain} messages stand before the one that they follow`)
  return problems.map((message) => ({ kind: 'data', message }))
}
