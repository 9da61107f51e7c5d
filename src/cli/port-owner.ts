import { execFile } from 'node:child_process'
import { readdir, readFile, readlink } from 'node:fs/promises'
import { promisify } from 'node:util'

export interface PortOwner {
  readonly pid: number
  /** The program and its first argument: further ones may hold what is not for other eyes. */
  readonly command: string
}

/** Which process listens on a TCP port of this machine; null where the system does not let us know. */
export async function findPortOwner(port: number): Promise<PortOwner | null> {
  try {
    return (process.platform === 'linux' ? await fromProc(port) : null) ?? (await fromLsof(port))
  } catch {
    return null
  }
}

/** proc(5): the sockets that listen on the port have an inode, and their process a descriptor of it. */
async function fromProc(port: number): Promise<PortOwner | null> {
  const inodes = new Set<string>()
  for (const table of ['tcp', 'tcp6']) {
    const text = await readFile(`/proc/net/${table}`, 'utf8').catch(() => '')
    for (const line of text.split('\n').slice(1)) {
      const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/)
      const listening = state === '0A'
      if (listening && Number.parseInt(local.split(':')[1] ?? '', 16) === port)
        inodes.add(`socket:[${inode}]`)
    }
  }
  if (inodes.size === 0) return null
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => [])
    for (const descriptor of descriptors) {
      const target = await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => '')
      if (inodes.has(target)) return { pid: Number(pid), command: await commandOf(pid) }
    }
  }
  return null
}

async function commandOf(pid: string): Promise<string> {
  const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  return line.split('\0').slice(0, 2).join(' ').trim() || 'unknown'
}

async function fromLsof(port: number): Promise<PortOwner | null> {
  const args = ['-nP', `-iTCP:${port}`, '-sTCP:LISTEN', '-Fpc']
  const { stdout } = await promisify(execFile)('lsof', args, { timeout: 2_000 })
  const field = (name: string) =>
    stdout
      .split('\n')
      .find((line) => line.startsWith(name))
      ?.slice(1)
  const pid = Number(field('p'))
  return Number.isInteger(pid) && pid > 0 ? { pid, command: field('c') ?? 'unknown' } : null
}
