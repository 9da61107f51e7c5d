import { createRequire } from 'node:module'
import { isAbsolute, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { formatPath, resolveConfigPath } from '../src/config/paths.js'
import { ConfigError } from '../src/config/problems.js'
import type { Config } from '../src/config/schema.js'
import { boundHooks } from './closing.js'

export interface ThirdPartyOptions {
  config: Config
  baseDir: string
}

/** Loads the plugins that the configuration lists, each encapsulated: its hooks and decorators stay its own. */
export default fp<ThirdPartyOptions>(
  async (app, { config, baseDir }) => {
    for (const [index, { module, options = {} }] of config.plugins.entries()) {
      const refuse = refusal(index)
      const plugin = await load(module, baseDir, refuse)
      const unbound = boundHooks(app, module)
      try {
        await app.register(plugin, options)
      } catch (error) {
        throw refuse(`the plugin '${module}' cannot start: ${messageOf(error)}`)
      } finally {
        unbound()
      }
    }
  },
  {
    name: 'third-party',
    dependencies: ['closing', 'methods', 'agents', 'hooks', 'lanes', 'connectors'],
    fastify: '5.x',
  },
)

/** Loads the modules without starting their plugins. @throws ConfigError */
export async function checkPlugins({ config, baseDir }: ThirdPartyOptions): Promise<void> {
  for (const [index, { module }] of config.plugins.entries()) await load(module, baseDir, refusal(index))
}

const refusal = (index: number) => (message: string) =>
  new ConfigError([{ path: formatPath(['plugins', index, 'module']), message }])

async function load(
  module: string,
  baseDir: string,
  refuse: (message: string) => ConfigError,
): Promise<FastifyPluginAsync> {
  let loaded: { default?: unknown }
  try {
    loaded = await import(locate(module, baseDir))
  } catch (error) {
    throw refuse(`expected a module that loads, '${module}' does not: ${messageOf(error)}`)
  }
  if (typeof loaded.default === 'function') return loaded.default as FastifyPluginAsync
  throw refuse(`expected '${module}' to have a Fastify plugin as its default export`)
}

/** Paths are relative to the configuration's folder; packages are looked for from there, then among the gateway's own. */
function locate(module: string, baseDir: string): string {
  if (/^(\.{1,2}|~)\//.test(module) || isAbsolute(module)) {
    return pathToFileURL(resolveConfigPath(baseDir, module)).href
  }
  try {
    return pathToFileURL(createRequire(join(baseDir, 'package.json')).resolve(module)).href
  } catch {
    return module
  }
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))
