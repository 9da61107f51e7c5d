import { GatewayError } from '../protocol/errors.js'
import { EXIT, type ExitCode } from './exit-codes.js'
import { nextCommands } from './next-command.js'

/** A failure that says everything the user needs: printed as it is, without a stack. */
export class CliError extends Error {
  override readonly name = 'CliError'
  readonly exitCode: ExitCode
  /** The message without the advice. */
  readonly summary: string
  readonly advice: readonly string[]

  /** `advice` lines follow the message: what to do about it. */
  constructor(exitCode: ExitCode, summary: string, advice: readonly string[] = [], cause?: unknown) {
    super([summary, ...advice.map((line) => `  ${line}`)].join('\n'), { cause })
    this.exitCode = exitCode
    this.summary = summary
    this.advice = advice
  }
}

/** What a gateway answered that does not know the thing named, with the command that names them; anything else as it is. */
export function withNames(error: unknown, command: string): unknown {
  if (!(error instanceof GatewayError) || error.code !== 'NOT_FOUND') return error
  const advice = nextCommands([[command, 'names them']])
  return new CliError(EXIT.FAILED, `${error.code}: ${error.message}`, advice, error)
}
