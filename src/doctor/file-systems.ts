import { error, info, type Observation, warning } from './check.js'

/** statfs(2) and linux/magic.h. */
const NETWORK: Readonly<Record<number, string>> = {
  26985: 'NFS',
  20859: 'SMB',
  4283649346: 'CIFS',
  4266872130: 'SMB2',
  16914839: '9P',
  1397113167: 'AFS',
  12805120: 'Ceph',
  198183888: 'Lustre',
  1196443219: 'GPFS',
  1952539503: 'OCFS2',
  18225520: 'GFS2',
}
const TMPFS = 0x0102_1994
const RAMFS = 0x8584_58f6
const OVERLAY = 0x794c_7630
const FUSE = 0x6573_5546

const MOVE = 'Put it on a local disk: journal.path, or LURKBOT_HOME.'

/**
 * SQLite keeps the index of its write-ahead log in memory that processes of one machine share, and relies on locks that network
 * file systems do not keep (sqlite.org/wal.html, 'Disadvantages'). Null: nothing to say of it.
 */
export function judgeFileSystem(type: number, folder: string): Observation | null {
  const network = NETWORK[type]
  if (network !== undefined) {
    return error(
      `${folder} is on a network file system (${network}), on which a journal can be damaged.`,
      MOVE,
    )
  }
  if (type === TMPFS || type === RAMFS) {
    return warning(`${folder} is in memory: what is in it is gone with the next boot.`, MOVE)
  }
  if (type === OVERLAY) {
    const remedy = 'Mount a volume there.'
    return warning(
      `${folder} is in the layer of a container: what is in it is gone with the container.`,
      remedy,
    )
  }
  if (type === FUSE) return info(`${folder} is on a FUSE file system; some of them keep no locks.`, MOVE)
  return null
}
