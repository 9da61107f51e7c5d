import { run } from '../../src/cli/run.js'

export interface InProcessResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/**
 * Runs a command line in this process, where starting one for each of many would take long: one at a time, and only such that
 * print with `console.log` or fail. tap's own output goes on meanwhile.
 */
export async function runInProcess(
  args: readonly string[],
  options: { home: string; env?: NodeJS.ProcessEnv },
): Promise<InProcessResult> {
  const { env, exitCode } = process
  const { log } = console
  const { write } = process.stderr
  let stdout = ''
  let stderr = ''
  const inherited = Object.entries(env).filter(([name]) => !name.startsWith('LURKBOT_'))
  process.env = {
    ...Object.fromEntries(inherited),
    LURKBOT_HOME: options.home,
    LURKBOT_GATEWAY__PORT: '0',
    ...options.env,
  }
  console.log = (text: string) => {
    stdout += `${text}\n`
  }
  process.stderr.write = ((text: string) => {
    stderr += text
    return true
  }) as typeof write
  process.exitCode = 0
  try {
    await run(args)
    return { code: Number(process.exitCode), stdout, stderr }
  } finally {
    process.env = env
    console.log = log
    process.stderr.write = write
    process.exitCode = exitCode
  }
}
