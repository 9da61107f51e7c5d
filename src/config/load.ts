import { dirname, resolve } from 'node:path'
import { CHECKS } from './checks.js'
import { addEnvironment, addFlags, type ConfigFlags } from './environment.js'
import { findConfigFile, hashOf, parseConfigText, readConfigFile } from './file.js'
import { deepFreeze, Merged } from './merge.js'
import { formatPath, resolveConfigPath, resolveHome } from './paths.js'
import { ConfigError, type Problem } from './problems.js'
import { type Config, ConfigSchema } from './schema.js'
import { sourcesOf, validate } from './validate.js'

export interface LoadOptions {
  readonly env: NodeJS.ProcessEnv
  readonly flags?: ConfigFlags
  /** The state folder. Default: `LURKBOT_HOME`, or `~/.lurkbot`. */
  readonly home?: string
  /** A configuration file instead of the one in the state folder. */
  readonly configPath?: string
  /** A text that is to become the file `path`, and is read in its stead. */
  readonly draft?: ConfigDraft
  /** When given, `log.format: auto` is decided by it. */
  readonly isTTY?: boolean
  /** What relative paths on the command line are relative to. Default: the process's. */
  readonly cwd?: string
}

export interface ConfigDraft {
  readonly path: string
  readonly text: string
}

/** Loads the configuration anew from where it was loaded at the start, with `draft` as if it were the file. @throws ConfigError */
export type ConfigLoader = (draft?: ConfigDraft) => Promise<LoadedConfig>

export interface LoadedConfig {
  /** Complete and frozen. */
  readonly config: Config
  /** Who set each value: a place as in `Problem.source`, or `default`. Keys are paths such as `lanes.capacity`. */
  readonly sources: ReadonlyMap<string, string>
  /** The state folder, absolute. It may not exist yet. */
  readonly home: string
  /** The file that was read, absolute. */
  readonly configFile: string | null
  /** What tells the file's text from any other. */
  readonly fileHash: string
  /** What relative paths in the configuration are relative to: the file's folder, or the working directory. */
  readonly baseDir: string
}

/**
 * Loads the configuration: defaults < file < environment < flags (spec §6).
 *
 * @throws ConfigError with everything that is wrong, in all of them.
 */
export async function loadConfig(options: LoadOptions): Promise<LoadedConfig> {
  const cwd = options.cwd ?? process.cwd()
  const home = options.home === undefined ? resolveHome(options.env, cwd) : resolve(cwd, options.home)
  const problems: Problem[] = []
  const merged = new Merged(ConfigSchema)

  const { draft } = options
  const configFile =
    draft !== undefined
      ? draft.path
      : options.configPath === undefined
        ? await findConfigFile(home, problems)
        : resolveConfigPath(cwd, options.configPath)
  let fileHash = hashOf('')
  if (configFile !== null) {
    const file =
      draft === undefined
        ? await readConfigFile(configFile, problems)
        : await parseConfigText(configFile, draft.text, problems)
    if (file !== undefined) {
      merged.add(file)
      fileHash = file.hash
    }
  }
  const fileIsWhole = problems.length === 0
  addEnvironment(merged, options.env, problems)
  addFlags(merged, options.flags ?? {}, problems)

  const { config, problems: found } = validate(merged)
  problems.push(...found)
  // Of a file that could not be read, nobody knows which agents it has.
  if (fileIsWhole) problems.push(...crossCheck(config, merged, problems))
  if (problems.length > 0) throw new ConfigError(problems)

  const sources = sourcesOf(config, merged)
  if (config.log.format === 'auto' && options.isTTY !== undefined) {
    config.log.format = options.isTTY ? 'pretty' : 'json'
  }
  const baseDir = configFile === null ? cwd : dirname(configFile)
  return { config: deepFreeze(config), sources, home, configFile, fileHash, baseDir }
}

function crossCheck(config: Config, merged: Merged, problems: readonly Problem[]): Problem[] {
  const troubled = new Set(problems.map(({ path }) => path.split(/[.[]/)[0]!))
  return CHECKS.filter(({ needs }) => !needs.some((key) => troubled.has(key)))
    .flatMap((check) => [...check.find(config)])
    .map(({ path, message }) => ({ path: formatPath(path), source: merged.sourceOf(path), message }))
}
