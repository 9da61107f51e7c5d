import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'

/**
 * The NODE_OPTIONS with which a process that reads a journal through runs `code` first, which knows the `path` of the journal and can
 * `hang()`, though not for ever, since nobody ends it when the test dies. Other processes are as they were.
 */
export function inspectionsWith(t: Test, code: string): string {
  const file = join(t.testdir(), 'before-inspection.cjs')
  writeFileSync(
    file,
    `const [, program, path] = process.argv
    const hang = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60_000)
    if (/inspect-process/.test(program)) { ${code} }`,
  )
  return `${process.env.NODE_OPTIONS ?? ''} --require=${file}`
}

/** As `inspectionsWith`, for those that this process starts. */
export function changeInspections(t: Test, code: string): void {
  const before = process.env.NODE_OPTIONS
  process.env.NODE_OPTIONS = inspectionsWith(t, code)
  t.teardown(() => {
    if (before === undefined) delete process.env.NODE_OPTIONS
    else process.env.NODE_OPTIONS = before
  })
}
