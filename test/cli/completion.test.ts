import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { complete, pathOf } from '../../src/cli/completion/candidates.js'
import { SCRIPTS, SHELLS, type Shell } from '../../src/cli/completion/scripts.js'
import { ARGUMENT_VALUES, OPTION_VALUES } from '../../src/cli/completion/values.js'
import { createProgram } from '../../src/cli/program.js'
import { allContracts } from '../../src/docs/methods-doc.js'
import { gatewayEnv, PROGRAM, runCli } from '../helpers/gateway-process.js'

const folder = mkdtempSync(join(tmpdir(), 'lurkbot-completion-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))
const bin = join(folder, 'bin')
const files = join(folder, 'files')
for (const path of [bin, files, join(folder, 'home')]) mkdirSync(path)
writeFileSync(join(bin, 'lurkbot'), `#!/bin/sh\nexec '${process.execPath}' '${PROGRAM}' "$@"\n`)
chmodSync(join(bin, 'lurkbot'), 0o755)
writeFileSync(join(files, 'my gateway.yaml'), '')
for (const shell of SHELLS) writeFileSync(join(folder, `completion.${shell}`), SCRIPTS[shell])

/** The words that a shell offers for a command line, with its own machinery. */
const ASK: Record<Shell, (line: string) => [string, ...string[]]> = {
  bash: (line) => {
    const words = line.split(/ |(?<==)|(?==)/).map((word) => `'${word}'`)
    const script = `source ../completion.bash
      COMP_WORDS=(${words.join(' ')}) COMP_CWORD=${words.length - 1}
      _lurkbot lurkbot "\${COMP_WORDS[COMP_CWORD]}" && printf '%s\\n' "\${COMPREPLY[@]}"`
    return ['bash', '--norc', '-c', script]
  },
  // The line editor runs only in a terminal of its own; what it lists is read off that.
  zsh: (line) => ['zsh', '-f', join(folder, 'ask.zsh'), line],
  fish: (line) => ['fish', '--no-config', '-c', `source ../completion.fish; complete -C '${line}'`],
}

writeFileSync(
  join(folder, 'ask.zsh'),
  `zmodload zsh/zpty
zpty editor 'PS1= zsh -f'
tell() { zpty -w editor "$1" }
tell 'autoload -Uz compinit; compinit -u -D; source ../completion.zsh; stty -echo rows 1000; LISTMAX=0'
# Each match as a line of its own, instead of a menu.
tell 'compadd() { [[ \${@[1,(i)(-|--)]} == *-(O|A|D)\\ * ]] && { builtin compadd "$@"; return }
  local -a __hits; builtin compadd -O __hits "$@"; print -rl -- "hit:"$^__hits }'
tell 'show() { _main_complete; print end-of-list; exit }; zle -C show complete-word show; bindkey "^I" show; print rea""dy'
zpty -r editor text '*ready*'
zpty -w -n editor "$1"$'\\t'
zpty -r editor text '*end-of-list*'
print -r -- "$text" | tr -d '\\r' | sed -n 's/.*hit://p'
`,
)

function ask(shell: Shell, line: string): string[] {
  const [command, ...args] = ASK[shell](line)
  const env = { ...gatewayEnv(join(folder, 'home')), HOME: join(folder, 'home'), TERM: 'xterm' }
  const { stdout, stderr, error } = spawnSync(command, args, {
    cwd: files,
    env: { ...env, PATH: `${bin}:${process.env.PATH}` },
    encoding: 'utf8',
    timeout: 30_000,
  })
  if (error) throw new Error(`${shell} cannot be run (Debian package ${shell}): ${error.message}`)
  t.equal(stderr, '', `${shell}: ${line}`)
  return stdout
    .split('\n')
    .map((text) => text.split('\t')[0]!)
    .filter((text) => text !== '')
}

const methods = allContracts().map(({ name }) => name)
const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']
const CASES: [line: string, offered: string[]][] = [
  ['lurkbot gateway st', ['start', 'status', 'stop']],
  ['lurkbot gateway call lanes.p', methods.filter((name) => name.startsWith('lanes.p'))],
  ['lurkbot gateway start --port 0 --ho', ['--host']],
  ['lurkbot gateway start --log-level ', levels],
  ['lurkbot config check --config my', ['my gateway.yaml']],
]

for (const shell of SHELLS) {
  t.test(`${shell} completes commands, methods, options, their values and files`, async (t) => {
    for (const [line, offered] of CASES) {
      const found = ask(shell, line).map((word) => word.replace('\\ ', ' '))
      t.same(found.sort(), [...offered].sort(), line)
    }
  })
}

t.test('an option and its value may be one word', async (t) => {
  t.same(ask('bash', 'lurkbot gateway start --log-level=s'), ['silent'], 'bash makes three words of it')
  t.same(ask('fish', 'lurkbot gateway start --log-level=s'), ['--log-level=silent'])
})

async function offered(...words: string[]): Promise<string[]> {
  const { candidates, files } = await complete(createProgram(), words)
  return [...candidates.map(([word]) => word), ...(files ? [':files'] : [])]
}

t.test('every command and every option is offered where it is understood', async (t) => {
  const visit = async (path: string[], command = createProgram()): Promise<void> => {
    for (const option of command.options.filter(({ hidden }) => !hidden)) {
      t.ok((await offered(...path, '--')).includes(option.long!), `${path.join(' ')} ${option.long}`)
    }
    for (const child of command.commands) {
      const isHidden = child.name() === 'complete'
      t.equal((await offered(...path, '')).includes(child.name()), !isHidden, pathOf(child))
      await visit([...path, child.name()], child)
    }
  }
  await visit([])
})

t.test('what comes before the word decides what fits', async (t) => {
  t.same(await offered('token', 'new', '--scope', 'read', ''), ['read', 'write', 'admin', 'agent'])
  t.ok((await offered('token', 'new', '--scope', 'read', '--')).includes('--role'))
  t.ok((await offered('cron', 'add', '--deliver', '--')).includes('--thread'), 'its value may be left out')
  t.notOk((await offered('gateway', 'start', '--port', '1', '--')).includes('--port'), 'once is enough')
  t.same(await offered('gateway', 'call', 'gateway.info', ''), [], 'parameters are anything')
  t.same(await offered('gateway', 'call', '--', '--'), [], 'behind -- there are no options')
  t.same(await offered('gateway', 'events', 'agent.*', 'lane.'), ['lane.full'])
  t.same(await offered('cron', 'add', '--overlap', ''), ['skip', 'queue', 'replace'])
  t.same(await offered('token', 'rotate', '--overlap', ''), [], 'a duration')
  t.same(await offered('nonsense', ''), await offered(''), 'what is unknown does no harm')
})

t.test('the values that are offered belong to options and arguments that there are', async (t) => {
  const flags = new Set<string>()
  const names = new Set<string>()
  const visit = (command = createProgram()): void => {
    for (const option of command.options) flags.add(option.flags)
    for (const argument of command.registeredArguments) names.add(`${pathOf(command)} ${argument.name()}`)
    for (const child of command.commands) visit(child)
  }
  visit()
  for (const [option, values] of Object.entries(OPTION_VALUES)) {
    t.ok(flags.has(option), option)
    t.ok((await values()).length > 0)
  }
  for (const [argument, values] of Object.entries(ARGUMENT_VALUES)) {
    t.ok(names.has(argument), argument)
    t.ok((await values()).length > 0)
  }
})

t.test('the script is that of the shell that is named, or else of the user', async (t) => {
  const home = join(folder, 'home')
  const print = (args: string[], SHELL: string) => runCli(['completion', ...args], { home, env: { SHELL } })
  const [named, own, none, other] = await Promise.all([
    print(['fish'], '/bin/bash'),
    print([], '/usr/bin/zsh'),
    print([], ''),
    print(['tcsh'], '/bin/bash'),
  ])
  t.match(named, { code: 0, stdout: SCRIPTS.fish })
  t.match(own, { code: 0, stdout: SCRIPTS.zsh })
  t.match(none, { code: 64, stderr: /For which shell\?[\s\S]*lurkbot completion bash/ })
  t.match(other, { code: 64, stderr: /Allowed choices are bash, zsh, fish/ })
})
