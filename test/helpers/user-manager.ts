import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { PROGRAM } from './gateway-process.js'
import { until } from './until.js'

export interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A systemd of a user, with a home folder of its own. */
export interface UserManager {
  readonly userHome: string
  /** The folder of its configuration, `~/.config`. */
  readonly configHome: string
  /** Runs a program beside it, as its user. */
  run(program: string, args: readonly string[], env?: NodeJS.ProcessEnv): Ran
  lurkbot(args: readonly string[], env?: NodeJS.ProcessEnv): Ran
  systemctl(...args: string[]): Ran
  /** A property of a unit. */
  show(unit: string, property: string): string
}

/** The folder of package.json; this file is compiled to dist/test/helpers. */
const PACKAGE = fileURLToPath(new URL('../../../', import.meta.url)).replace(/\/$/, '')

/** A user has no privileges, and neither has this manager, though it runs as root: the units of users meet the same limits. */
const UNPRIVILEGED = ['setpriv', '--bounding-set=-all', '--inh-caps=-all', '--']

/**
 * In namespaces of its own: whatever it or its services do to files, they do it to the user's home folder, the first argument,
 * or to what goes with the namespaces. All else is read-only, which is looked at before anything starts, and there are no units but
 * those that a test makes: a systemd that starts a machine empties /tmp. The further arguments are what has to be
 * read, and, behind --, the groups of processes.
 */
const BOOT = `
set -eu
home=$1
mount --make-rprivate /
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir -p /run/systemd/system
keep() {
  mkdir -p "/run/keep$1"
  mount --bind "$1" "/run/keep$1"
}
give_back() {
  mkdir -p "$1"
  mount --bind "/run/keep$1" "$1"
}
kept=()
while [ "$1" != -- ]; do
  keep "$1"
  kept+=("$1")
  shift
done
shift
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs tmpfs /var
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount --bind /proc/sys /proc/sys
for path in "\${kept[@]}"; do give_back "$path"; done
umount -l /run/keep"$home"
findmnt --raw --noheadings --output TARGET | while IFS= read -r escaped; do
  path=$(printf '%b' "$escaped")
  # What is below the new /tmp and /var cannot be reached any more.
  mountpoint --quiet "$path" || continue
  case $path in
    "$home" | /tmp | /var | /run | /dev/shm | /proc) ;;
    *) mount -o remount,bind,ro "$path" ;;
  esac
done
for group in "$@"; do
  mount --bind "$group" "\${group%/*}"
  mount -o remount,bind,rw "\${group%/*}"
done
for path in / /etc /dev /home /root /proc/sys "\${kept[@]:1}"; do
  if [ -w "$path" ]; then
    echo "systemd is not started: it could write in $path"
    exit 1
  fi
done
${UNPRIVILEGED.join(' ')} /usr/lib/systemd/systemd --user &
wait
`

/** What every unit needs; Debian's own units are not there. */
const TARGETS = ['basic.target', 'default.target', 'shutdown.target']

/**
 * Runs a real systemd user manager that neither sees nor touches that of the machine; all of its processes end with it. Needs
 * root, and Debian's systemd.
 */
export async function startUserManager(t: Test): Promise<UserManager> {
  // A unit has to take a path as it is: `%n` would be the name of the unit.
  const userHome = mkdtempSync(join(tmpdir(), 'lurkbot user%n-'))
  const [runtime, units, configHome] = ['run', 'units', '.config'].map((name) => join(userHome, name))
  mkdirSync(runtime!, { mode: 0o700 })
  mkdirSync(units!)
  for (const target of TARGETS) writeFileSync(join(units!, target), `[Unit]\nDescription=${target}\n`)
  const groups = controlGroups()
  const inherited = Object.entries(process.env).filter(([name]) => !/^(LURKBOT_|XDG_|DBUS_)/.test(name))
  const env = {
    ...Object.fromEntries(inherited),
    HOME: userHome,
    USER: 'root',
    XDG_RUNTIME_DIR: runtime!,
    SYSTEMD_UNIT_PATH: `${join(configHome!, 'systemd/user')}:${units}`,
  }
  const enter = groups.map((group) => `echo $$ > ${group}/cgroup.procs`).join('\n')
  const namespaces = '--mount --pid --cgroup --fork --mount-proc --kill-child'
  const script = `${enter}\nexec unshare ${namespaces} bash -c "$BOOT" boot "$@"`
  const folders = [userHome, PACKAGE, dirname(process.execPath)]
  const child = spawn('bash', ['-c', script, 'boot', ...folders, '--', ...groups], {
    env: { ...env, BOOT },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text
    })
  }
  const exited = once(child, 'exit')
  const end = async () => {
    child.kill('SIGKILL')
    await exited
    for (const group of groups) await until(() => removeGroup(group))
    rmSync(userHome, { recursive: true, force: true })
  }
  t.teardown(end)
  const socket = join(runtime!, 'systemd/private')
  await until(() => existsSync(socket) || child.exitCode !== null)
  if (child.exitCode !== null) {
    await end()
    throw new Error(
      `no systemd --user; it takes root and the package systemd (DEBIAN_PACKAGES in .ci/run): ${output}`,
    )
  }
  const [first] = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').split(' ')
  const inside = ['--target', first!, '--mount', '--pid', '--cgroup', ...UNPRIVILEGED]
  const run: UserManager['run'] = (program, args, extra = {}) => {
    const options = { env: { ...env, ...extra }, encoding: 'utf8' } as const
    const { status, stdout, stderr } = spawnSync('nsenter', [...inside, program, ...args], options)
    return { code: status, stdout, stderr }
  }
  const systemctl = (...args: string[]) => run('systemctl', ['--user', ...args])
  return {
    userHome,
    configHome: configHome!,
    run,
    lurkbot: (args, extra) => run(process.execPath, [PROGRAM, ...args], extra),
    systemctl,
    show: (unit, property) => systemctl('show', unit, '--value', `--property=${property}`).stdout.trim(),
  }
}

/** A group of processes in each hierarchy that systemd keeps its own in. */
function controlGroups(): string[] {
  const roots = ['/sys/fs/cgroup/systemd', '/sys/fs/cgroup/unified'].filter(existsSync)
  if (roots.length === 0) roots.push('/sys/fs/cgroup')
  return roots.map((root) => {
    const group = join(root, `lurkbot-test-${process.pid}`)
    mkdirSync(group)
    return group
  })
}

/** Whether it is gone: its processes may take a moment to. */
function removeGroup(group: string): boolean {
  try {
    for (const entry of readdirSync(group, { withFileTypes: true })) {
      if (entry.isDirectory()) removeGroup(join(group, entry.name))
    }
    rmdirSync(group)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
  }
}
