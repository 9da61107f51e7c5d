import { pino } from 'pino'
import { type LoadedConfig, loadConfig } from '../config/load.js'
import { ConfigError } from '../config/problems.js'
import { redactConfig } from '../config/redact.js'
import { ConfigSchema } from '../config/schema.js'
import { EXIT, type ExitCode } from './exit-codes.js'

export interface ConfigOptions {
  readonly config?: string
  readonly json?: boolean
}

/** `lurkbot config check`: looks at everything that a start looks at before it opens anything. */
export async function check(options: ConfigOptions): Promise<ExitCode> {
  try {
    const loaded = await load(options)
    const { checkConfig } = await import('../app.js')
    await checkConfig({ ...loaded, logger: pino({ level: 'silent' }) })
    const { configFile } = loaded
    if (options.json) print({ valid: true, file: configFile, problems: [] })
    else console.log(`The configuration is valid (${configFile ?? 'there is no file'}).`)
    return EXIT.OK
  } catch (error) {
    if (!(error instanceof ConfigError) || !options.json) throw error
    print({ valid: false, file: null, problems: error.problems })
    return EXIT.CONFIG
  }
}

/** `lurkbot config show`: what a start would use, without secrets, and where each value comes from. */
export async function show(options: ConfigOptions): Promise<ExitCode> {
  const { config, sources, configFile } = await load(options)
  const redacted = redactConfig(config)
  if (options.json) {
    print({ file: configFile, config: redacted, sources: Object.fromEntries(sources) })
    return EXIT.OK
  }
  const { formatPath } = await import('../config/paths.js')
  for (const [path, value] of leaves(redacted)) {
    const name = formatPath(path)
    console.log(`${name} = ${JSON.stringify(value)}  # ${sources.get(name) ?? 'default'}`)
  }
  return EXIT.OK
}

/** `lurkbot config schema`: the JSON Schema of the file, as editors take it. */
export async function schema(): Promise<ExitCode> {
  print({ $schema: 'https://json-schema.org/draft/2020-12/schema', ...ConfigSchema })
  return EXIT.OK
}

function load({ config: configPath }: ConfigOptions): Promise<LoadedConfig> {
  return loadConfig({ env: process.env, configPath, isTTY: process.stdout.isTTY === true })
}

function* leaves(value: unknown, path: readonly string[] = []): Generator<[readonly string[], unknown]> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) yield [path, value]
  else if (Object.keys(value).length === 0) yield [path, value]
  else for (const [key, child] of Object.entries(value)) yield* leaves(child, [...path, key])
}

function print(value: unknown): void {
  console.log(JSON.stringify(value, null, 2))
}
