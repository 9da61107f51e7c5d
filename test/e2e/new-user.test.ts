import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { temporaryHome } from '../helpers/gateway-process.js'

/**
 * A machine of one's own: its network, processes and temporary files, and what it changes of /etc and /var. The ports of the
 * pages are free there, and nothing of it stays.
 */
const MACHINE = `
set -eu
ip link set lo up
mount --make-rprivate /
for folder in /etc /var; do
  mkdir -p "$1$folder/changed" "$1$folder/work"
  mount -t overlay overlay -o "lowerdir=$folder,upperdir=$1$folder/changed,workdir=$1$folder/work" "$folder"
done
mount -t tmpfs tmpfs /run
echo '127.0.0.1 gateway.example' >> /etc/hosts
shift
exec "$@"
`

const { home: folder, remove } = temporaryHome()
t.teardown(remove)
mkdirSync(join(folder, 'home'))
t.spawn(
  'unshare',
  [
    ...['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'],
    ...['bash', '-c', MACHINE, 'machine', join(folder, 'machine')],
    ...[process.execPath, fileURLToPath(new URL('new-user.js', import.meta.url)), join(folder, 'machine')],
  ],
  { env: { ...process.env, HOME: join(folder, 'home') } },
  'a new user goes from the README to a watched gateway behind nginx, upgrades it and removes it',
)
