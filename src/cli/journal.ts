import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { loadConfig } from '../config/load.js'
import type { RestoreReport } from '../journal/backup.js'
import type { JournalInspection } from '../journal/inspect.js'
import { JournalError } from '../journal/journal-error.js'
import type { JournalFacts } from '../journal/journal-facts.js'
import { journalPath } from '../journal/journal-path.js'
import { canRebuild } from '../journal/journal-problems.js'
import { CliError } from './cli-error.js'
import { EXIT, type ExitCode } from './exit-codes.js'
import { formatBytes } from './format.js'
import { interruptible } from './interruptible.js'
import { nextCommand, nextCommands } from './next-command.js'
import { findRunning, type PidRecord } from './pid-file.js'

export interface JournalCommandOptions {
  readonly config?: string
  readonly json?: boolean
}

/** How often a terminal is told how far it is. */
const PROGRESS_MS = 250

/** `lurkbot journal backup FILE`. */
export async function backup(file: string, options: JournalCommandOptions): Promise<ExitCode> {
  const { path } = await findJournal(options)
  const { backupJournal } = await import('../journal/backup.js')
  const report = await interruptible((signal) =>
    backupJournal(path, file, { signal, onProgress: progress('Copying') }),
  ).catch((error) => {
    throw withCheck(error)
  })
  if (options.json) return print({ journal: path, ...report })
  console.log(`The journal is backed up: ${report.file}`)
  console.log(
    `  ${formatBytes(report.bytes)}, up to position ${report.facts.seq}; it was read through and is whole.`,
  )
  console.log(describe(report.facts))
  return EXIT.OK
}

/** What fails on the way may be the fault of the one disk or of the other. */
function withCheck(error: unknown): unknown {
  if (!(error instanceof JournalError) || error.cause === undefined) return error
  const advice = nextCommands([['journal check', 'says how the journal is']])
  return new CliError(EXIT.FAILED, error.message, advice, error)
}

/** `lurkbot journal restore FILE`. */
export async function restore(file: string, options: JournalCommandOptions): Promise<ExitCode> {
  const { path, running, home } = await findJournal(options)
  if (running !== null) throw mustStop(running, home)
  const { restoreJournal } = await import('../journal/backup.js')
  const report = await interruptible((signal) =>
    restoreJournal(file, path, { signal, onProgress: progress('Restoring') }),
  )
  if (options.json) return print(report)
  console.log(`The journal is restored: ${report.file}`)
  for (const line of consequences(report)) console.log(`  ${line}`)
  console.log(describe(report.facts))
  console.log(`  ${nextCommand('gateway start')}   starts with it`)
  return EXIT.OK
}

function consequences({ facts, aside, lostPositions }: RestoreReport): string[] {
  const lost =
    lostPositions === null
      ? `It ends with position ${facts.seq}; what came after that is gone.`
      : `It ends with position ${facts.seq}: ${lostPositions} later ones are gone.`
  return [
    lost,
    'Clients begin anew with it, since it has an epoch of its own.',
    `${facts.pendingEvents} events that waited then are handled at the start, perhaps once more; tokens and devices are as they were then.`,
    ...(aside === null ? [] : [`The journal that was there is kept: ${aside}`]),
  ]
}

/** `lurkbot journal check [FILE]`: exit code 1 when something is wrong. */
export async function check(file: string | undefined, options: JournalCommandOptions): Promise<ExitCode> {
  const path = file === undefined ? (await findJournal(options)).path : resolve(file)
  if (!existsSync(path)) {
    throw new CliError(EXIT.FAILED, `There is no file ${path}.`, [
      'The first start of a gateway makes its journal.',
    ])
  }
  const { inspectApart } = await import('../journal/inspect-apart.js')
  const found = await interruptible((signal) => inspectApart(path, 'full', signal))
  if (options.json) print({ ok: found.problems.length === 0, ...found })
  else if (found.problems.length === 0) {
    console.log(`The journal is whole: ${path}`)
    console.log(`  ${formatBytes(found.bytes)}, ${formatBytes(found.logBytes)} of log`)
    if (found.facts !== null) console.log(describe(found.facts))
  } else console.log(describeProblems(found))
  return found.problems.length === 0 ? EXIT.OK : EXIT.FAILED
}

function describeProblems({ path, problems }: JournalInspection): string {
  const remedy = canRebuild(problems)
    ? `${nextCommand('doctor --fix')}   makes it anew from what is whole, once the gateway is stopped`
    : `${nextCommand('journal restore FILE')}   puts a backup in its place, once the gateway is stopped`
  return [
    `The journal has problems: ${path}`,
    ...problems.map(({ message }) => `  - ${message}`),
    `  ${remedy}`,
  ].join('\n')
}

function describe({ seq, epoch, counts, pendingEvents, deadLetters }: JournalFacts): string {
  const { sessions, events, entries, deliveries, documents } = counts
  return [
    `  epoch ${epoch}, position ${seq}`,
    `  ${sessions} sessions, ${events} events (${pendingEvents} waiting, ${deadLetters} dead letters), ${entries} entries, ${deliveries} deliveries, ${documents} documents`,
  ].join('\n')
}

/** Where the journal of the state folder is, and who is at work with it. */
async function findJournal(options: JournalCommandOptions) {
  const loaded = await loadConfig({ env: process.env, configPath: options.config })
  const path = journalPath(loaded)
  if (path === null) {
    throw new CliError(EXIT.FAILED, 'There is no journal file: journal.type is memory.', [
      'With journal.type sqlite what was accepted outlives the process.',
    ])
  }
  const { home } = loaded
  return { path, home, running: findRunning(home) }
}

function mustStop({ pid }: PidRecord, home: string): CliError {
  return new CliError(
    EXIT.UNAVAILABLE,
    `The gateway of ${home} runs (process ${pid}) and uses the journal.`,
    nextCommands([['gateway stop', 'stops it']]),
  )
}

/** On a terminal, on standard error, so that standard output has the result alone. */
function progress(verb: string): ((done: number) => void) | undefined {
  if (!process.stderr.isTTY) return undefined
  let last = 0
  return (done) => {
    const now = performance.now()
    if (now - last < PROGRESS_MS && done < 1) return
    last = now
    process.stderr.write(done < 1 ? `\r${verb}: ${Math.floor(done * 100)} %` : '\r\u001b[K')
  }
}

function print(value: unknown): ExitCode {
  console.log(JSON.stringify(value, null, 2))
  return EXIT.OK
}
