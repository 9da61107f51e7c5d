import assert from 'node:assert/strict'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringifyYAML } from 'confbox/yaml'
import t from 'tap'
import { configKeys, envName } from '../../src/config/keys.js'
import { loadConfig } from '../../src/config/load.js'
import { formatProblems } from '../../src/config/problems.js'
import type { Config } from '../../src/config/schema.js'
import fc from '../helpers/properties.js'
import { anyConfig } from './arbitrary.js'

const runs = { numRuns: 60 }

async function loaded(options: Parameters<typeof loadConfig>[0]): Promise<Config> {
  try {
    return (await loadConfig(options)).config
  } catch (error) {
    throw new Error(formatProblems(error as never), { cause: error })
  }
}

t.test('any valid configuration survives a YAML file and a JSON file', async (t) => {
  const home = t.testdir({})
  for (const [name, write] of [
    ['config.yaml', (config: Config) => stringifyYAML(config)],
    ['config.json', (config: Config) => JSON.stringify(config, null, 2)],
  ] as const) {
    const property = fc.asyncProperty(anyConfig, async (config) => {
      await writeFile(join(home, name), write(config))
      assert.deepStrictEqual(await loaded({ env: {}, home }), config)
    })
    await fc.assert(property, runs)
    t.pass(name)
    await rm(join(home, name))
  }
})

t.test('any valid configuration survives the environment, a variable a key', async (t) => {
  const home = t.testdir({})
  const property = fc.asyncProperty(anyConfig, async (config) => {
    assert.deepStrictEqual(await loaded({ env: environmentOf(config), home }), config)
  })
  await fc.assert(property, runs)
  t.pass('environment')
})

/** What an operator would set: text as it is, lists of text with commas where that is unambiguous, else JSON. */
function environmentOf(config: Config): Record<string, string> {
  const env: Record<string, string> = {}
  for (const { path } of configKeys()) {
    if (path.some((step) => step === '<name>' || step === '[]')) continue
    const value = path.reduce<unknown>(
      (at, key) => (at as Record<string, unknown> | undefined)?.[key],
      config,
    )
    const isSection =
      typeof value === 'object' && !Array.isArray(value) && !['agents', 'connectors'].includes(path[0]!)
    if (value === undefined || isSection) continue
    const simple =
      Array.isArray(value) &&
      value.length > 0 &&
      value.every((item) => typeof item === 'string' && /^[a-z0-9]+$/.test(item)) &&
      !['0', '1', 'true', 'false', 'yes', 'no'].includes(value.join(','))
    env[envName(path)] = typeof value === 'string' ? value : simple ? value.join(',') : JSON.stringify(value)
  }
  return env
}
