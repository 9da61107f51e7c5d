import { mkdir, open, readdir, realpath, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { readText } from './file.js'

/** The file's text; empty where there is none. @throws an error that says why it cannot be read. */
export async function readIfThere(path: string): Promise<string> {
  try {
    await stat(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
  }
  return readText(path)
}

/**
 * Replaces the file as a whole or not at all, whatever happens meanwhile; it keeps its mode, a new one is for its owner only. A link
 * stays one: what it leads to is replaced. The text before is kept as `<file>.bak`, those before that as `.bak.1` and so on.
 *
 * @param backups how many earlier texts are kept
 */
export async function replaceFile(path: string, text: string, backups: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const target = await realpath(path).catch(() => path)
  const before = await readBefore(target)
  const draft = await writeDraft(target, text, before)
  try {
    if (before !== null && backups > 0) await backUp(before, target, backups)
    await rename(draft, target)
  } finally {
    await rm(draft, { force: true })
  }
  await syncFolder(dirname(target))
}

interface Before {
  readonly content: Buffer
  readonly mode: number
  readonly uid: number
  readonly gid: number
}

/** Null: there is none. */
async function readBefore(target: string): Promise<Before | null> {
  const file = await open(target, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
  try {
    if (file === null) return null
    const { mode, uid, gid } = await file.stat()
    return { content: await file.readFile(), mode: mode & 0o777, uid, gid }
  } finally {
    await file?.close()
  }
}

async function backUp(before: Before, target: string, backups: number): Promise<void> {
  const nameOf = (n: number) => (n === 0 ? `${target}.bak` : `${target}.bak.${n}`)
  const draft = await writeDraft(nameOf(0), before.content, before)
  try {
    const kept = await readdir(dirname(target))
    for (let n = backups - 2; n >= 0; n--) {
      if (kept.includes(basename(nameOf(n)))) await rename(nameOf(n), nameOf(n + 1))
    }
    await rename(draft, nameOf(0))
  } finally {
    await rm(draft, { force: true })
  }
}

/** Changes are made one at a time, so that one name for drafts is enough, and one that a crash left behind is written over. */
async function writeDraft(target: string, content: string | Buffer, before: Before | null): Promise<string> {
  const draft = join(dirname(target), `.${basename(target)}.draft`)
  const mode = before?.mode ?? 0o600
  await rm(draft, { force: true })
  const file = await open(draft, 'wx', mode)
  try {
    // Whatever the umask took away; and root gives the file back to whose it is.
    await file.chmod(mode)
    if (before !== null && process.getuid?.() === 0) await file.chown(before.uid, before.gid)
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
  return draft
}

/** So that the new name survives a power cut; Windows has no such thing. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
