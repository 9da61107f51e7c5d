import { isAbsolute, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { ConfigError } from '../src/config/problems.js'
import type { Config } from '../src/config/schema.js'

export interface ThirdPartyOptions {
  config: Config
  baseDir: string
}

/** Loads the plugins that the configuration lists, each encapsulated: its hooks and decorators stay its own. */
export default fp<ThirdPartyOptions>(
  async (app, { config, baseDir }) => {
    for (const [index, { module, options }] of config.plugins.entries()) {
      const plugin = await load(module, baseDir, `plugins.${index}.module`)
      await app.register(plugin, options ?? {})
    }
  },
  { name: 'third-party', dependencies: ['methods', 'agents', 'hooks', 'lanes'], fastify: '5.x' },
)

async function load(module: string, baseDir: string, path: string): Promise<FastifyPluginAsync> {
  const isFile = module.startsWith('.') || isAbsolute(module)
  const specifier = isFile ? pathToFileURL(resolve(baseDir, module)).href : module
  let loaded: { default?: unknown }
  try {
    loaded = await import(specifier)
  } catch (error) {
    throw new ConfigError([
      { path, message: `expected a module that loads, '${module}' does not: ${(error as Error).message}` },
    ])
  }
  if (typeof loaded.default !== 'function') {
    throw new ConfigError([
      { path, message: `expected '${module}' to have a Fastify plugin as its default export` },
    ])
  }
  return loaded.default as FastifyPluginAsync
}
