import { readFileSync } from 'node:fs'
import { totalmem } from 'node:os'
import { type Check, error, info, type Observation, ok, reasonOf, warning } from './check.js'

/** Enough for some thousands of connections, the journal and the libraries of connectors. */
const FEW_FILES = 4_096
/** The gateway alone takes some 100 MB, and its bounds grow with what there is. */
const LITTLE_MEMORY_BYTES = 256 * 1024 * 1024

export interface NodeFacts {
  readonly version: string
  /** `engines.node` of the package, such as `>=20.19`. */
  readonly engines: string
  readonly arch: string
  readonly platform: string
  /** Why the journal's driver does not load; null: it does. */
  readonly driverError: string | null
  /** How many files a process may have open; null: the system does not say. */
  readonly openFiles: number | null
  readonly memoryBytes: number
  readonly maxConnections: number
}

export const node: Check = {
  name: 'node',
  async run({ loaded, running }) {
    return judgeNode({
      version: process.versions.node,
      engines: engines(),
      arch: process.arch,
      platform: process.platform,
      driverError: await driverError(),
      openFiles: openFiles(running?.pid),
      memoryBytes: process.constrainedMemory() || totalmem(),
      maxConnections: loaded?.config.connection.maxConnections ?? 0,
    })
  },
}

export function judgeNode(facts: NodeFacts): Observation[] {
  const { version, engines, arch, platform, driverError, openFiles, memoryBytes, maxConnections } = facts
  const found: Observation[] = []
  if (!isAtLeast(version, engines)) {
    found.push(
      error(`Node ${version} is too old: ${engines} is needed.`, 'Install a newer one: https://nodejs.org'),
    )
  }
  if (driverError !== null) found.push(error(`The journal's driver does not load: ${driverError}`, 'npm ci'))
  if (arch !== 'x64' && arch !== 'arm64') {
    const where = 'Run it on x64 or arm64, or test it well before you rely on it.'
    found.push(warning(`Nobody has tested the architecture ${arch}.`, where))
  }
  if (memoryBytes < LITTLE_MEMORY_BYTES) {
    const mebibytes = Math.round(memoryBytes / 1024 / 1024)
    found.push(warning(`There are ${mebibytes} MiB of memory.`, 'Give it 256 MiB or more.'))
  }
  if (openFiles !== null && openFiles < FEW_FILES) {
    found.push(
      warning(`A process may have ${openFiles} files open, connections included.`, 'ulimit -n 65536'),
    )
  } else if (openFiles !== null && openFiles < maxConnections) {
    const message = `connection.maxConnections is ${maxConnections}, and a process may have ${openFiles} files open.`
    found.push(info(message, `ulimit -n ${maxConnections + 1_000}`))
  }
  if (found.every(({ severity }) => severity === 'info')) {
    found.unshift(ok(`Node ${version} on ${platform} ${arch}; the journal's driver loads.`))
  }
  return found
}

function engines(): string {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { engines: { node: string } }).engines.node
}

/** Knows `>=MAJOR.MINOR`, which is what the package says. */
function isAtLeast(version: string, range: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [wantedMajor = 0, wantedMinor = 0] = range
    .replace(/^>=\s*/, '')
    .split('.')
    .map(Number)
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)
}

async function driverError(): Promise<string | null> {
  try {
    const { Sqlite } = await import('../journal/sqlite-driver.js')
    new Sqlite(':memory:').close()
    return null
  } catch (thrown) {
    return reasonOf(thrown)
  }
}

/** proc(5). Of the running gateway, which may have other limits than this shell. */
function openFiles(pid: number | undefined): number | null {
  for (const who of [pid, 'self']) {
    try {
      const limits = readFileSync(`/proc/${who}/limits`, 'utf8')
      const soft = /^Max open files\s+(\S+)/m.exec(limits)?.[1]
      if (soft !== undefined) return soft === 'unlimited' ? null : Number(soft)
    } catch {
      // Another user's process, or a system without such files.
    }
  }
  return null
}
