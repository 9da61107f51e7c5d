export interface Seed {
  readonly seed: number
  /** Of fast-check's report: that one run; left out: all runs of the seed. */
  readonly path?: string
  /** What it found. */
  readonly why: string
}

/** What once made `fuzz.test.ts` fail; run before anything new is tried. Add to it whatever a run reports. */
export const SEEDS: readonly Seed[] = []
