import type { ExitCode } from './exit-codes.js'

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
