import { execFileSync } from 'node:child_process'
import { closeSync, cpSync, mkdirSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'

/** This file is compiled to dist/test/fault; the source in C stays where it is. */
const SOURCE = fileURLToPath(new URL('../../../test/fault/faults.c', import.meta.url))

/** The fields of `struct control` in faults.c, in its order. */
const FIELDS = [
  'failSyncs',
  'failWrites',
  'failReads',
  'only',
  'killAtSync',
  'killAtWrite',
  'clockMs',
  'failures',
  'syncs',
  'writes',
] as const

type Field = (typeof FIELDS)[number]

export const ALL = -1
/** What `only` may be. */
export const FILE = { any: 0, database: 1, log: 2 } as const

/** For a test's `skip`: the faults are made with the preloading of glibc. */
export const NO_FAULTS = process.platform === 'linux' ? false : 'takes Linux'

let library: string | null = null

/** Compiled once a process. */
function compile(): string {
  if (library !== null) return library
  const folder = mkdtempSync(join(tmpdir(), 'lurkbot-faults-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'faults.so')
  try {
    execFileSync('cc', ['-Wall', '-Werror', '-O1', '-shared', '-fPIC', '-o', path, SOURCE, '-ldl'])
  } catch (cause) {
    throw new Error('a C compiler is needed here: Debian’s package gcc brings `cc`', { cause })
  }
  library = path
  return path
}

/** A disk that fails and a clock that jumps on command, for the gateway that is started with `env`. See faults.c. */
export class Faults {
  readonly env: NodeJS.ProcessEnv
  readonly #control: number

  /** `disk`: the folder in which to keep what a power cut would leave of the journal. */
  constructor(t: Test, disk?: string) {
    const preload = compile()
    const folder = mkdtempSync(join(tmpdir(), 'lurkbot-control-'))
    t.teardown(() => rmSync(folder, { recursive: true, force: true }))
    const path = join(folder, 'control')
    this.#control = openSync(path, 'w+')
    t.teardown(() => closeSync(this.#control))
    for (const field of FIELDS) this.set(field, 0)
    this.env = { LD_PRELOAD: preload, FAULTS: path, ...(disk === undefined ? {} : { FAULTS_DISK: disk }) }
  }

  set(field: Field, value: number): void {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64LE(BigInt(value))
    writeSync(this.#control, bytes, 0, 8, FIELDS.indexOf(field) * 8)
  }

  get(field: Field): number {
    const bytes = Buffer.alloc(8)
    readSync(this.#control, bytes, 0, 8, FIELDS.indexOf(field) * 8)
    return Number(bytes.readBigInt64LE())
  }
}

/** The state folder of a gateway that was killed, without the index of the log, which only a running one has. */
export function copyState(from: string, to: string, { journal = true } = {}): void {
  mkdirSync(to, { recursive: true })
  const left = journal ? /journal\.db(-shm|\.lock)$|gateway\.pid$/ : /journal\.db|gateway\.pid$/
  cpSync(from, to, { recursive: true, filter: (path) => !left.test(path) })
}
