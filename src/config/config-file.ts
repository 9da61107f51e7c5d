import { type FileHandle, mkdir, open, readdir, realpath, rename, rm, stat } from 'node:fs/promises'
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
  const before = await open(target, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
  let mode = 0o600
  try {
    if (before !== null) {
      mode = (await before.stat()).mode & 0o777
      if (backups > 0) await backUp(before, target, mode, backups)
    }
  } finally {
    await before?.close()
  }
  await writeWhole(target, text, mode)
}

async function backUp(before: FileHandle, target: string, mode: number, backups: number): Promise<void> {
  const nameOf = (n: number) => (n === 0 ? `${target}.bak` : `${target}.bak.${n}`)
  const kept = await readdir(dirname(target))
  for (let n = backups - 2; n >= 0; n--) {
    if (kept.includes(basename(nameOf(n)))) await rename(nameOf(n), nameOf(n + 1))
  }
  await writeWhole(nameOf(0), await before.readFile(), mode)
}

/** Changes are made one at a time, so that one name for drafts is enough, and one that a crash left behind is written over. */
async function writeWhole(target: string, content: string | Buffer, mode: number): Promise<void> {
  const folder = dirname(target)
  const draft = join(folder, `.${basename(target)}.draft`)
  await rm(draft, { force: true })
  try {
    const file = await open(draft, 'wx', mode)
    try {
      await file.chmod(mode)
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(draft, target)
  } finally {
    await rm(draft, { force: true })
  }
  await syncFolder(folder)
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
