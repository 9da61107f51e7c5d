import { type ChildProcess, spawn } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { assignmentsOf, type Stage } from './instructions.js'

/**
 * Enters a stage: its own /app, /data, /tmp and so on, what this machine has of the base image, read-only but for npm's cache, and
 * Node where no closed folder is above it. The mounts are of this process's namespace and go with it.
 */
const ENTER = `
set -e
root=$1 node=$2 cache=$3 workdir=$4 user=$5
shift 5
for path in /*; do
  at=$root$path
  case $path in /app | /data | /etc | /proc | /tmp | /nodejs | /lost+found) continue ;; esac
  if [ -L "$path" ]; then
    [ -L "$at" ] || cp -P "$path" "$at"
  elif [ -d "$path" ]; then
    mkdir -p "$at"
    mount --rbind "$path" "$at"
    [ "$path" = /dev ] || mount -o remount,bind,ro "$at"
  fi
done
mkdir -p "$root/proc" "$root/nodejs" "$root/tmp"
chmod 1777 "$root/tmp"
if [ -d "$cache" ]; then
  mkdir -p "$root$cache"
  mount --bind "$cache" "$root$cache"
fi
mount -t proc proc "$root/proc"
mount --bind "$node" "$root/nodejs"
export PATH="/nodejs/bin:$PATH"
if [ "$user" = 0:0 ]; then
  exec chroot "$root" sh -c 'cd "$1" && shift && exec "$@"' sh "$workdir" "$@"
fi
exec chroot --userspec="$user" --groups= "$root" sh -c 'cd "$1" && shift && exec "$@"' sh "$workdir" "$@"
`

/** What a RUN has made before, from the same files and with the same Node: as Docker's cache, it stands for running it again. */
export interface CachedLayer {
  readonly command: string
  readonly nodeModules: string
}

/** The file system that the instructions of a stage make, as they stand, with this machine in the place of the base image. */
export class Root {
  readonly #path: string
  readonly #env: NodeJS.ProcessEnv
  #workdir = '/'
  #user = '0:0'
  readonly env: Record<string, string> = {}
  cmd = ''
  healthcheck = ''

  constructor(path: string, env: NodeJS.ProcessEnv) {
    this.#path = path
    this.#env = env
    mkdirSync(path, { recursive: true })
    cpSync('/etc', join(path, 'etc'), { recursive: true, verbatimSymlinks: true })
    // The user that the image of Node has.
    addLine(join(path, 'etc/passwd'), 'node:x:1000:1000::/home/node:/bin/sh')
    addLine(join(path, 'etc/group'), 'node:x:1000:')
  }

  /** Where a path of the stage is on this machine. */
  at(path: string): string {
    return join(this.#path, resolve(this.#workdir, path))
  }

  async run(
    stage: Stage,
    {
      context,
      stages,
      cached,
    }: { context: string; stages: ReadonlyMap<string, Root>; cached: CachedLayer | null },
  ): Promise<void> {
    for (const { name, text } of stage.instructions) {
      if (name === 'WORKDIR') {
        this.#workdir = resolve(this.#workdir, text)
        mkdirSync(this.at('.'), { recursive: true })
      } else if (name === 'ENV') Object.assign(this.env, assignmentsOf(text))
      else if (name === 'USER') this.#user = text
      else if (name === 'COPY') this.#copy(text, context, stages)
      else if (name === 'RUN' && text === cached?.command) {
        await succeed(`copy of ${text}`, spawn('cp', ['-a', cached.nodeModules, this.at('node_modules')]))
      } else if (name === 'RUN') await succeed(text, this.start(['/bin/sh', '-c', text]))
      else if (name === 'CMD') this.cmd = text
      else if (name === 'HEALTHCHECK') this.healthcheck = text
      else if (!['ARG', 'LABEL', 'VOLUME', 'EXPOSE'].includes(name))
        throw new Error(`${name} is not replayed`)
    }
  }

  /** Starts a command as process 1 in it. */
  start(command: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
    const namespaces = ['--mount', '--pid', '--fork', '--kill-child', '--propagation', 'private']
    const node = dirname(dirname(process.execPath))
    const cache = this.#env.npm_config_cache ?? join(homedir(), '.npm')
    const enter = ['sh', '-c', ENTER, 'sh', this.#path, node, cache, this.#workdir, this.#user]
    return spawn('unshare', [...namespaces, ...enter, ...command], {
      env: { ...this.#env, ...this.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  }

  #copy(text: string, context: string, stages: ReadonlyMap<string, Root>): void {
    const words = text.split(/\s+/)
    const from = words[0]!.startsWith('--from=') ? words.shift()!.slice('--from='.length) : null
    const target = words.pop()!
    const intoFolder = words.length > 1 || target.endsWith('/')
    for (const word of words) {
      const source = from === null ? join(context, word) : stages.get(from)!.at(word)
      if (!existsSync(source))
        throw new Error(`COPY ${text}: there is no ${word}, or .dockerignore leaves it out`)
      const into = intoFolder && !statSync(source).isDirectory() ? join(target, basename(word)) : target
      cpSync(source, this.at(into), { recursive: true, verbatimSymlinks: true })
    }
  }
}

function addLine(path: string, line: string): void {
  const name = line.split(':')[0]
  const others = readFileSync(path, 'utf8')
    .split('\n')
    .filter((other) => other !== '' && !other.startsWith(`${name}:`))
  writeFileSync(path, `${[...others, line].join('\n')}\n`)
}

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly output: string
}

export function ended(child: ChildProcess): Promise<Ended> {
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text) => {
      output += text
    })
  }
  return new Promise((fulfil, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => fulfil({ code, signal, output }))
  })
}

/** @throws with the output, unless it exits with 0 */
export async function succeed(what: string, child: ChildProcess): Promise<string> {
  const { code, signal, output } = await ended(child)
  if (code !== 0) throw new Error(`${what}: ${signal ?? `exit code ${code}`}\n${output}`)
  return output
}
