import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { gatewayEnv, PROGRAM } from './gateway-process.js'
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
  /** A property of a unit, or null. */
  show(unit: string, property: string): string
}

/** A user has no privileges, and neither has this manager, though it runs as root: the units of users meet the same limits. */
const UNPRIVILEGED = ['setpriv', '--bounding-set=-all', '--inh-caps=-all', '--']

/** systemd only runs where it believes that it has started the machine. */
const BOOT = `
set -eu
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir -p /run/systemd/system
for folder in "$@"; do mount --bind "$folder" "\${folder%/*}"; done
${UNPRIVILEGED.join(' ')} /usr/lib/systemd/systemd --user &
wait
`

/**
 * Runs a real systemd user manager in namespaces of its own, so that it neither sees nor touches that of the machine, and
 * all of its processes end with it. Needs root, and Debian's systemd.
 */
export async function startUserManager(t: Test): Promise<UserManager> {
  // A unit has to take a path as it is: `%n` would be the name of the unit.
  const userHome = mkdtempSync(join(tmpdir(), 'lurkbot user%n-'))
  const runtime = join(userHome, 'run')
  mkdirSync(runtime, { mode: 0o700 })
  const groups = controlGroups()
  const env = { ...gatewayEnv(''), HOME: userHome, XDG_RUNTIME_DIR: runtime, USER: 'root' }
  for (const name of [
    'LURKBOT_HOME',
    'LURKBOT_GATEWAY__PORT',
    'XDG_CONFIG_HOME',
    'DBUS_SESSION_BUS_ADDRESS',
  ]) {
    delete (env as NodeJS.ProcessEnv)[name]
  }
  const enter = groups.map((group) => `echo $$ > ${group}/cgroup.procs`).join('\n')
  const namespaces = '--mount --pid --cgroup --fork --mount-proc --kill-child'
  const script = `${enter}\nexec unshare ${namespaces} bash -c '${BOOT}' boot ${groups.join(' ')}`
  const child = spawn('bash', ['-c', script], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text
    })
  }
  const exited = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await exited
    for (const group of groups) await until(() => removeGroup(group))
    rmSync(userHome, { recursive: true, force: true })
  })
  const socket = join(runtime, 'systemd/private')
  await until(() => existsSync(socket) || child.exitCode !== null)
  if (child.exitCode !== null) {
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
    configHome: join(userHome, '.config'),
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
