import { inspect } from 'node:util'
import { ConfigError, formatProblems } from '../config/problems.js'
import { JournalError } from '../journal/journal-error.js'
import { GatewayError } from '../protocol/errors.js'
import { CliError } from './cli-error.js'
import { EXIT, type ExitCode } from './exit-codes.js'

/** Says on standard error why a command failed; a stack only where the failure is a bug. */
export function report(error: unknown): ExitCode {
  console.error(describeFailure(error))
  return exitCodeOf(error)
}

/** What is said of a failure on standard error. */
export function describeFailure(error: unknown): string {
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
  return error instanceof ConfigError ? EXIT.CONFIG : EXIT.FAILED
}

function isExpected(error: unknown): boolean {
  return [CliError, ConfigError, JournalError, GatewayError].some((known) => error instanceof known)
}
