import fc from 'fast-check'

/** What a gate runs, so that a change is not held up by what it did not do; anywhere else it is drawn anew. */
export const GATE_SEED = process.env.CI ? 20_261_121 : undefined

fc.configureGlobal({ seed: GATE_SEED })

export default fc
