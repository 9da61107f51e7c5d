import { randomBytes } from 'node:crypto'
import { type FileHandle, link, mkdir, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isLoopbackHost } from '../config/loopback.js'
import { ConfigError } from '../config/problems.js'
import type { Config } from '../config/schema.js'

/** Whether others than this machine can come: by the bind, or through a proxy in front of it. */
export function isReachable({ host, trustProxy }: Pick<Config, 'host' | 'trustProxy'>): boolean {
  return !isLoopbackHost(host) || trustProxy !== false
}

/**
 * Whether a token is asked for. A bind beyond loopback never runs open, whatever else is set (spec §5); a proxy in front of
 * one on loopback makes it ask unless it was told not to, as where the proxy asks.
 */
export function isAuthRequired({
  host,
  trustProxy,
  auth,
}: Pick<Config, 'host' | 'trustProxy' | 'auth'>): boolean {
  const isConfigured = auth.tokens.length > 0 || auth.jwt !== undefined || auth.pairing.enabled
  return !isLoopbackHost(host) || (auth.enabled ?? (isConfigured || isReachable({ host, trustProxy })))
}

export interface AutoToken {
  readonly token: string
  /** The file that holds it: this, never the token, may be logged. */
  readonly path: string
  /** Whether it was made now, rather than at an earlier start. */
  readonly created: boolean
}

const TOKEN_BYTES = 32
/** More than any token has: a larger file is something else. */
const MAX_FILE_BYTES = 4096

/**
 * The gateway's own token, for when it needs one and none is configured: made once, kept in `<home>/token` for its
 * owner only.
 *
 * @throws ConfigError when the file exists but others may read it, it is empty or it cannot be read, or when it cannot
 *   be written.
 */
export async function ensureAutoToken(home: string): Promise<AutoToken> {
  const path = join(home, 'token')
  try {
    const kept = await readToken(path)
    if (kept !== null) return { token: kept, path, created: false }
    const token = randomBytes(TOKEN_BYTES).toString('base64url')
    if (await writeToken(home, path, token)) return { token, path, created: true }
    // Another process made one in the meantime.
    return { token: (await readToken(path)) ?? refuse(path, 'disappeared'), path, created: false }
  } catch (error) {
    if (error instanceof ConfigError) throw error
    return refuse(path, `cannot be used: ${(error as Error).message}`)
  }
}

async function readToken(path: string): Promise<string | null> {
  let file: FileHandle
  try {
    file = await open(path, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
  try {
    const stat = await file.stat()
    if (!stat.isFile()) refuse(path, 'is not a regular file')
    const { mode, size } = stat
    // Windows has no such bits.
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      refuse(path, `may be read by others (mode ${(mode & 0o777).toString(8)}): run chmod 600 ${path}`)
    }
    if (size > MAX_FILE_BYTES) refuse(path, `has ${size} bytes, more than a token`)
    const token = (await file.readFile('utf8')).trim()
    if (token === '') refuse(path, 'is empty: remove it and a new token is made')
    if (!/^[\x21-\x7e]+$/.test(token)) {
      refuse(path, 'holds something other than one token of visible ASCII characters')
    }
    return token
  } finally {
    await file.close()
  }
}

/** Writes the file as a whole or not at all; false: there is one already. */
async function writeToken(home: string, path: string, token: string): Promise<boolean> {
  await mkdir(home, { recursive: true, mode: 0o700 })
  const draft = `${path}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`
  try {
    const file = await open(draft, 'wx', 0o600)
    try {
      await file.writeFile(`${token}\n`)
      await file.sync()
    } finally {
      await file.close()
    }
    return await publish(draft, path)
  } finally {
    await rm(draft, { force: true })
  }
}

async function publish(draft: string, path: string): Promise<boolean> {
  try {
    // Unlike a rename, a link never replaces the token of a process that was faster.
    await link(draft, path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return false
    // File systems without hard links.
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'ENOSYS') throw error
    await rename(draft, path)
  }
  return true
}

function refuse(path: string, what: string): never {
  const message = `no token is configured, and the token file ${path} ${what}`
  throw new ConfigError([{ path: 'auth.tokens', message }])
}
