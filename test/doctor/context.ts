import type { Test } from 'tap'
import type { LoadedConfig } from '../../src/config/load.js'
import type { Check, DoctorContext, Observation } from '../../src/doctor/check.js'
import { type ConfigOverrides, temporaryFolder, testConfig } from '../helpers/app.js'

/** What a doctor knows of a stopped gateway with this configuration; its state folder goes with the test. */
export async function contextOf(
  t: Test,
  config: ConfigOverrides = {},
  overrides: Partial<DoctorContext> = {},
): Promise<DoctorContext> {
  const home = overrides.home ?? (await temporaryFolder(t))
  return {
    home,
    env: {},
    loaded: loadedOf(home, config),
    problems: [],
    unset: [],
    running: null,
    target: null,
    publicTarget: null,
    online: false,
    fix: false,
    now: Date.now(),
    peerTimeoutMs: 5_000,
    mendTimeoutMs: 60_000,
    journalPath: null,
    inspectJournal: async () => null,
    ...overrides,
  }
}

export function loadedOf(
  home: string,
  config: ConfigOverrides,
  configFile: string | null = null,
): LoadedConfig {
  return { config: testConfig(config), sources: new Map(), home, configFile, fileHash: '', baseDir: home }
}

export const run = async (check: Check, context: DoctorContext): Promise<Observation[]> =>
  check.run(context, AbortSignal.timeout(30_000))

/** Severity and message, for `t.match`. */
export const told = (found: readonly Observation[]): string[] =>
  found.map(({ severity, message }) => `${severity}: ${message}`)
