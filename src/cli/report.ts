import { ConfigError, formatProblems } from '../config/problems.js'
import { JournalError } from '../journal/journal-error.js'
import { GatewayError } from '../protocol/errors.js'
import { CliError } from './cli-error.js'
import { EXIT, type ExitCode } from './exit-codes.js'

/** Says on standard error why a command failed; a stack only where the failure is a bug. */
export function report(error: unknown): ExitCode {
  if (error instanceof CliError) {
    console.error(error.message)
    return error.exitCode
  }
  if (error instanceof ConfigError) {
    console.error(formatProblems(error))
    return EXIT.CONFIG
  }
  if (error instanceof JournalError) {
    console.error(error.message)
    return EXIT.FAILED
  }
  if (error instanceof GatewayError) {
    console.error(`${error.code}: ${error.message}`)
    return EXIT.FAILED
  }
  console.error(error)
  return EXIT.FAILED
}
