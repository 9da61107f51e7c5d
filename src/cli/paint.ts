import { styleText } from 'node:util'

type Format = Parameters<typeof styleText>[0]
export type Paint = (format: Format, text: string) => string

/** Whether colours are wanted: FORCE_COLOR and NO_COLOR (no-color.org) decide; else a terminal that is not `dumb` has them. */
export function hasColors(output: object, env: NodeJS.ProcessEnv = process.env): boolean {
  if (env.FORCE_COLOR) return env.FORCE_COLOR !== '0'
  if (env.NO_COLOR) return false
  return 'isTTY' in output && output.isTTY === true && env.TERM !== 'dumb'
}

/** Colours text for an output that has them, and leaves it alone for any other. */
export function paintFor(output: object, env: NodeJS.ProcessEnv = process.env): Paint {
  if (!hasColors(output, env)) return (_, text) => text
  return (format, text) => styleText(format, text, { validateStream: false })
}
