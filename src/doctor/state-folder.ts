import { chmodSync, lstatSync, readdirSync, type Stats } from 'node:fs'
import { access, constants, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { formatBytes } from '../cli/format.js'
import { nextCommand } from '../cli/next-command.js'
import { isRunning, type PidRecord, readPidFile, removePidFile } from '../cli/pid-file.js'
import {
  type Check,
  type DoctorContext,
  error,
  info,
  type Observation,
  ok,
  reasonOf,
  warning,
} from './check.js'
import { judgeFileSystem } from './file-systems.js'

const NO_SPACE_BYTES = 64 * 1024 * 1024
const LITTLE_SPACE_BYTES = 1024 * 1024 * 1024

const windows = process.platform === 'win32'

export const stateFolder: Check = {
  name: 'state folder',
  async run(context) {
    const { home, journalPath } = context
    const stats = lstatSync(home, { throwIfNoEntry: false })
    if (stats === undefined) {
      return [info(`${home} is not there yet; the first start makes it.`, nextCommand('gateway start'))]
    }
    if (!stats.isDirectory() && !stats.isSymbolicLink()) {
      return [error(`${home} is no folder.`, 'Move it away, or name another one with LURKBOT_HOME.')]
    }
    const found = [
      ...owner(home, stats),
      ...(await usable(home)),
      ...mode(context, home, 0o700),
      ...privateFiles(home, journalPath).flatMap((path) => mode(context, path, 0o600)),
      ...stalePidFile(context),
    ]
    const folders = new Set([home, ...(journalPath === null ? [] : [dirname(journalPath)])])
    for (const folder of folders) found.push(...(await space(folder)))
    return found.some(({ severity }) => severity !== 'ok' && severity !== 'info')
      ? found
      : [ok(`${home} is there, and only its owner's.`), ...found]
  },
}

/** Those that hold what others must not read, as far as they are there. */
function privateFiles(home: string, journalPath: string | null): string[] {
  const names = readNames(home).filter((name) => /^token$|\.key$|^gateway\.pid$/.test(name))
  const files = names.map((name) => join(home, name))
  if (journalPath !== null) files.push(journalPath, `${journalPath}-wal`)
  return files.filter((path) => lstatSync(path, { throwIfNoEntry: false })?.isFile())
}

function readNames(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    // `usable` says so.
    return []
  }
}

function owner(home: string, { uid }: Stats): Observation[] {
  const own = process.getuid?.()
  if (own === undefined || own === uid) return []
  const message = `${home} belongs to the user ${uid}, and this is user ${own}.`
  if (own === 0)
    return [
      warning(
        message,
        `Run this as the user that the gateway runs as: sudo -u '#${uid}' ${nextCommand('doctor')}`,
      ),
    ]
  return [error(message, `sudo chown -R ${own} '${home}'`)]
}

async function usable(home: string): Promise<Observation[]> {
  try {
    await access(home, constants.R_OK | constants.W_OK | constants.X_OK)
    return []
  } catch (thrown) {
    return [error(`${home} cannot be read and written: ${reasonOf(thrown)}`, `chmod u+rwx '${home}'`)]
  }
}

/** Windows has no such bits. */
function mode({ fix }: DoctorContext, path: string, wanted: number): Observation[] {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (windows || stats === undefined || stats.isSymbolicLink() || (stats.mode & 0o077) === 0) return []
  const found = (stats.mode & 0o777).toString(8)
  if (fix) {
    chmodSync(path, wanted)
    return [info(`${path} was open to others (mode ${found}); now it is not.`)]
  }
  const message = `${path} is open to others (mode ${found}).`
  const remedy = `chmod ${wanted.toString(8)} '${path}'`
  // With these a gateway does not start, or anyone may do anything with it.
  const isSecret = /(^|\/)token$|\.key$/.test(path)
  return [isSecret ? error(message, remedy, true) : warning(message, remedy, true)]
}

function stalePidFile({ home, fix }: DoctorContext): Observation[] {
  let record: PidRecord | null
  try {
    record = readPidFile(home)
  } catch (thrown) {
    return [
      warning(`gateway.pid cannot be read: ${reasonOf(thrown)}`, `chmod u+r '${join(home, 'gateway.pid')}'`),
    ]
  }
  if (record === null || isRunning(record)) return []
  if (fix) {
    removePidFile(home, record)
    return [info(`gateway.pid named process ${record.pid}, which is gone; it was removed.`)]
  }
  const message = `gateway.pid names process ${record.pid}, which is gone: the gateway was ended by force.`
  return [warning(message, `${nextCommand('gateway start')}   goes on with what was accepted`, true)]
}

async function space(folder: string): Promise<Observation[]> {
  if (lstatSync(folder, { throwIfNoEntry: false }) === undefined) return []
  const { type, bavail, bsize } = await statfs(folder)
  const found: Observation[] = []
  const system = judgeFileSystem(type, folder)
  if (system !== null) found.push(system)
  const free = bavail * bsize
  const message = `${formatBytes(free)} are free for ${folder}.`
  const remedy = 'Free some space: a full disk refuses every message.'
  if (free < NO_SPACE_BYTES) found.push(error(message, remedy))
  else if (free < LITTLE_SPACE_BYTES) found.push(warning(message, remedy))
  return found
}
