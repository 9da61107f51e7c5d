import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { type LoadedConfig, loadConfig } from '../config/load.js'
import { resolveHome } from '../config/paths.js'
import { ConfigError, type Problem } from '../config/problems.js'
import {
  type DoctorContext,
  type Finding,
  INSPECTION_TIMEOUT_MS,
  inTime,
  MEND_TIMEOUT_MS,
  PEER_TIMEOUT_MS,
  type Severity,
} from '../doctor/check.js'
import { CHECKS, runChecks } from '../doctor/run-checks.js'
import type { JournalInspection } from '../journal/inspect.js'
import { inspectApart } from '../journal/inspect-apart.js'
import { journalPath as journalPathOf } from '../journal/journal-path.js'
import { EXIT, type ExitCode } from './exit-codes.js'
import { printable } from './format.js'
import { interruptible } from './interruptible.js'
import { nextCommand } from './next-command.js'
import { paintFor } from './paint.js'
import { findRunning } from './pid-file.js'
import { findTarget, type TargetOptions } from './target.js'

export interface DoctorOptions extends TargetOptions {
  readonly json?: boolean
  readonly fix?: boolean
  readonly strict?: boolean
  readonly online?: boolean
}

/** `lurkbot doctor`: exit code 1 when something is wrong; warnings count with `--strict`. */
export async function doctor(options: DoctorOptions): Promise<ExitCode> {
  const findings = await interruptible(async (signal) => {
    const found = await runChecks(await contextOf(options, signal), CHECKS, signal)
    signal.throwIfAborted()
    return found
  }, 'Interrupted; not everything was looked at.')
  const count = (severity: Severity) => findings.filter((finding) => finding.severity === severity).length
  const [errors, warnings] = [count('error'), count('warning')]
  const good = errors === 0 && (warnings === 0 || !options.strict)
  if (options.json) console.log(JSON.stringify({ ok: good, errors, warnings, findings }, null, 2))
  else console.log(describe(findings, errors, warnings))
  return good ? EXIT.OK : EXIT.FAILED
}

async function contextOf(options: DoctorOptions, signal: AbortSignal): Promise<DoctorContext> {
  const { env } = process
  const home = resolveHome(env, process.cwd())
  const running = findRunning(home)
  const configPath = options.config ?? running?.configFile ?? undefined
  const { loaded, problems, unset } = await look(configPath)
  const journalPath = loaded === null ? join(home, 'journal.db') : journalPathOf(loaded)
  let inspection: Promise<JournalInspection | null> | undefined
  return {
    home,
    env,
    loaded,
    problems,
    unset,
    running,
    target: running === null ? null : await findTarget({ config: options.config }),
    publicTarget: options.url === undefined ? null : await findTarget(options),
    online: options.online === true,
    fix: options.fix === true,
    now: Date.now(),
    peerTimeoutMs: PEER_TIMEOUT_MS,
    mendTimeoutMs: MEND_TIMEOUT_MS,
    journalPath,
    inspectJournal: () => {
      inspection ??=
        journalPath === null || !existsSync(journalPath)
          ? Promise.resolve(null)
          : inTime(INSPECTION_TIMEOUT_MS, signal, (ending) =>
              inspectApart(journalPath, running === null ? 'full' : 'quick', ending),
            )
      return inspection
    },
  }
}

type Looked = Pick<DoctorContext, 'loaded' | 'problems' | 'unset'>

/** What `config check` looks at. */
async function look(configPath: string | undefined): Promise<Looked> {
  const unset: { connector: string; variable: string }[] = []
  let loaded: LoadedConfig | null = null
  try {
    loaded = await loadConfig({ env: process.env, configPath, isTTY: process.stdout.isTTY === true })
    const { checkConfig } = await import('../app.js')
    await checkConfig({ ...loaded, logger: unsetVariables(unset) })
    return { loaded, problems: [], unset }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return { loaded, problems: error.problems satisfies readonly Problem[], unset }
  }
}

/** The one thing that `checkConfig` only warns of. */
function unsetVariables(found: { connector: string; variable: string }[]) {
  return pino({
    level: 'warn',
    hooks: {
      logMethod([fields]: unknown[]) {
        const { connector, variable } = (fields ?? {}) as { connector?: string; variable?: string }
        if (connector !== undefined && variable !== undefined) found.push({ connector, variable })
      },
    },
  })
}

const MARKS = {
  ok: ['✓', 'ok     ', 'green'],
  info: ['•', 'info   ', 'cyan'],
  warning: ['!', 'warning', 'yellow'],
  error: ['✗', 'error  ', 'red'],
} as const

/** Signs and colours on a terminal, words in a pipe. */
function describe(findings: readonly Finding[], errors: number, warnings: number): string {
  const isTerminal = process.stdout.isTTY === true
  const paint = paintFor(process.stdout)
  const width = Math.max(...findings.map(({ check }) => check.length))
  const lines: string[] = []
  for (const { check, severity, message, remedy } of findings) {
    const [sign, word, colour] = MARKS[severity]
    const mark = isTerminal ? sign : word
    lines.push(`${paint(colour, mark)} ${check.padEnd(width)}  ${printable(message)}`)
    for (const line of remedy?.split('\n') ?? []) {
      lines.push(`${' '.repeat(mark.length + width + 3)}→ ${printable(line)}`)
    }
  }
  const fixable = findings.some((finding) => finding.fixable)
  const plural = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`
  lines.push('', `${plural(errors, 'error')}, ${plural(warnings, 'warning')}.`)
  if (fixable) lines.push(`${nextCommand('doctor --fix')}   mends what can be mended without loss`)
  return lines.join('\n')
}
