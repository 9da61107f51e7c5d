import type { Test } from 'tap'
import { type LoadedConfig, type LoadOptions, loadConfig } from '../../src/config/load.js'
import { ConfigError, type Problem } from '../../src/config/problems.js'

export interface Given {
  /** Files of the state folder by name. */
  files?: Record<string, string>
  env?: Record<string, string>
  flags?: LoadOptions['flags']
  isTTY?: boolean
}

/** Loads a configuration from a state folder of its own. */
export async function load(t: Test, { files = {}, ...rest }: Given = {}): Promise<LoadedConfig> {
  return loadConfig({ env: {}, ...rest, home: t.testdir(files) })
}

/** The problems that loading finds; none when it succeeds. File names lose their folder. */
export async function problemsOf(t: Test, given: Given): Promise<Problem[]> {
  try {
    await load(t, given)
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.problems.map((problem) =>
      problem.source === undefined
        ? problem
        : { ...problem, source: problem.source.replace(`${t.testdirName}/`, '') },
    )
  }
}
