/** The exit code of a program that was configured wrongly (sysexits.h). */
export const EX_CONFIG = 78

/** One thing that is wrong with the configuration. */
export interface Problem {
  /** Where in the configuration, such as `lanes.capacity`; empty: a file or variable as a whole. */
  readonly path: string
  /** Who set it: `environment LURKBOT_GATEWAY__…`, `/path/config.yaml:12`, `flag --port`. */
  readonly source?: string
  /** What was expected and what was found; never the value of a secret. */
  readonly message: string
}

/** Everything that is wrong with a configuration, at once. The program that cannot go on exits with `exitCode`. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly Problem[]
  readonly exitCode = EX_CONFIG

  constructor(problems: readonly Problem[]) {
    super(problems.map(formatProblem).join('; '))
    this.problems = Object.freeze([...problems])
  }
}

/** `lanes.capacity: expected …, found … (environment …)` */
export function formatProblem({ path, source, message }: Problem): string {
  return `${path === '' ? '' : `${path}: `}${message}${source === undefined ? '' : ` (${source})`}`
}

/** The terminal's version of a `ConfigError`: a heading and one problem a line. Ends without a line break. */
export function formatProblems(error: ConfigError): string {
  const count = error.problems.length
  const heading = `The configuration has ${count === 1 ? 'a problem' : `${count} problems`}:`
  return [heading, ...error.problems.map((problem) => `  - ${formatProblem(problem)}`)].join('\n')
}
