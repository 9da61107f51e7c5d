import { inspect } from 'node:util'
import { ConfigError, formatProblems } from '../config/problems.js'
import { JournalError } from '../journal/journal-error.js'
import { GatewayError, toErrorShape } from '../protocol/errors.js'
import { adviceOn } from './advice.js'
import { CliError } from './cli-error.js'
import { EXIT, type ExitCode } from './exit-codes.js'

/** Says on standard error why a command failed; a stack only where the failure is a bug. `json`: for a program, in one line. */
export function report(error: unknown, json = false): ExitCode {
  console.error(json ? JSON.stringify({ error: describe(error) }) : describeFailure(error))
  return exitCodeOf(error)
}

/** What is said of a failure on standard error. */
export function describeFailure(error: unknown): string {
  if (error instanceof GatewayError) return withAdvice(explain(error), adviceOn(error))
  return isExpected(error) ? explain(error) : inspect(error)
}

/** Why it failed, for people; without a stack. */
export function explain(error: unknown): string {
  if (error instanceof ConfigError) return formatProblems(error)
  if (error instanceof GatewayError) return `${error.code}: ${error.message}`
  return error instanceof Error ? error.message : String(error)
}

export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof CliError) return error.exitCode
  if (error instanceof GatewayError && (error.code === 'FORBIDDEN' || error.code === 'UNAUTHORIZED')) {
    return EXIT.NO_PERMISSION
  }
  return error instanceof ConfigError ? EXIT.CONFIG : EXIT.FAILED
}

/** A gateway's error has its own code; what the command found itself is named as its exit code is. */
function describe(error: unknown): object {
  if (error instanceof GatewayError) return { ...toErrorShape(error), advice: adviceOn(error) }
  if (error instanceof CliError) {
    const { cause, summary, advice } = error
    if (!(cause instanceof GatewayError)) return { code: nameOf(error.exitCode), message: summary, advice }
    const message = summary.replace(`${cause.code}: `, '')
    return { ...toErrorShape(cause), message, advice }
  }
  const message = isExpected(error) ? explain(error) : String(error)
  const problems = error instanceof ConfigError ? { problems: error.problems } : {}
  return { code: nameOf(exitCodeOf(error)), message, ...problems, advice: [] }
}

export function nameOf(exitCode: ExitCode): string {
  return Object.entries(EXIT).find(([, code]) => code === exitCode)![0]
}

function withAdvice(message: string, advice: readonly string[]): string {
  return [message, ...advice.map((line) => `  ${line}`)].join('\n')
}

function isExpected(error: unknown): boolean {
  return [CliError, ConfigError, JournalError, GatewayError].some((known) => error instanceof known)
}
