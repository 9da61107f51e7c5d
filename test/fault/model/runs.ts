import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { GATE_SEED } from '../../helpers/properties.js'

/** A failure that was found once, kept so that it is looked for first. */
export interface KeptSeed {
  /** The test that it is for. */
  readonly test: string
  readonly found: string
  readonly seed?: number
  /** A history as it was printed. */
  readonly story?: unknown
}

/** The seeds of failures; this file is compiled to dist/test/fault/model. */
export function keptSeeds(test: string): KeptSeed[] {
  const path = fileURLToPath(new URL('../../../../test/fault/history-seeds.json', import.meta.url))
  const seeds = JSON.parse(readFileSync(path, 'utf8')) as KeptSeed[]
  return seeds.filter((seed) => seed.test === test)
}

/** `FAULT_SEED` repeats what a failure printed. */
export function seedOfRun(): number {
  return Number(process.env.FAULT_SEED ?? GATE_SEED ?? Math.floor(Math.random() * 2 ** 31))
}

/** `FAULT_RUNS` makes as many times the usual number of runs and rounds. */
export function runsOf(usual: number): number {
  return Math.ceil(usual * Number(process.env.FAULT_RUNS ?? 1))
}
