import type { Argument, Command, Option } from 'commander'
import { ARGUMENT_VALUES, type Candidate, OPTION_VALUES } from './values.js'

export interface Completions {
  readonly candidates: readonly Candidate[]
  /** Files fit as well: the shell knows them. */
  readonly files: boolean
}

const NOTHING: Completions = { candidates: [], files: false }

/** Where a command line stands before the word that is being typed. */
interface Place {
  readonly command: Command
  /** Expects its value. */
  readonly option: Option | null
  /** Positional words of `command` so far. */
  readonly position: number
  readonly given: ReadonlySet<Option>
  /** After `--` there are no options. */
  readonly optionsEnded: boolean
}

/**
 * What fits as the last of `words`, which are those behind `lurkbot` and may end with an empty one. It is read off the commands
 * themselves, so it knows whatever they do.
 */
export async function complete(program: Command, words: readonly string[]): Promise<Completions> {
  const place = findPlace(program, words.slice(0, -1))
  const typed = words.at(-1) ?? ''
  const { command, option, position, given, optionsEnded } = place
  if (option !== null && !endsValues(option, typed)) return starting(typed, await valuesOfOption(option))
  const [, flag, value] = /^(--[^=]+)=(.*)$/s.exec(typed) ?? []
  if (flag !== undefined && !optionsEnded) {
    const meant = findOption(command, flag)
    const { candidates } = meant === undefined ? NOTHING : starting(value!, await valuesOfOption(meant))
    return { candidates: candidates.map(([text, meaning]) => [`${flag}=${text}`, meaning]), files: false }
  }
  if (typed.startsWith('-') && !optionsEnded) return starting(typed, optionsOf(command, given))
  if (command.commands.length > 0) return starting(typed, subcommandsOf(command))
  const argument = argumentAt(command, position)
  return argument === undefined ? NOTHING : starting(typed, await valuesOfArgument(command, argument))
}

function findPlace(program: Command, words: readonly string[]): Place {
  let command = program
  let option: Option | null = null
  let position = 0
  let optionsEnded = false
  const given = new Set<Option>()
  for (const word of words) {
    if (option !== null && !endsValues(option, word)) {
      if (!option.variadic) option = null
    } else if (word === '--' && !optionsEnded) {
      optionsEnded = true
      option = null
    } else if (word.startsWith('-') && !optionsEnded) {
      const [name] = word.split('=', 1)
      const found = findOption(command, name!)
      if (found !== undefined && !found.variadic) given.add(found)
      option = found !== undefined && name === word && (found.required || found.optional) ? found : null
    } else {
      const next = command.commands.find((child) => namesOf(child).includes(word))
      if (next === undefined) position++
      else {
        command = next
        position = 0
      }
    }
  }
  return { command, option, position, given, optionsEnded }
}

/** What takes no value, or has had some, need not have this one: then a dash begins the next option. */
function endsValues(option: Option, word: string): boolean {
  return word.startsWith('-') && (option.optional || option.variadic)
}

/** Options of the commands above are understood below, too. */
function* withParents(command: Command): Generator<Command> {
  for (let one: Command | null = command; one !== null; one = one.parent) yield one
}

function allOptions(command: Command): Option[] {
  return [...withParents(command)].flatMap((one) => one.options.filter(({ hidden }) => !hidden))
}

function findOption(command: Command, flag: string): Option | undefined {
  return allOptions(command).find(({ short, long }) => flag === short || flag === long)
}

function optionsOf(command: Command, given: ReadonlySet<Option>): Completions {
  const version = command.parent === null ? undefined : '--version'
  const options = allOptions(command).filter(({ long }) => long && long !== version)
  const candidates = options
    .filter((option) => !given.has(option))
    .map(({ long, description }): Candidate => [long!, description])
  return { candidates: [...candidates, ['--help', 'display help for command']], files: false }
}

function subcommandsOf(command: Command): Completions {
  // What help shows: no hidden ones.
  const commands = command.createHelp().visibleCommands(command)
  return { candidates: commands.map((one): Candidate => [one.name(), one.description()]), files: false }
}

function argumentAt({ registeredArguments }: Command, position: number): Argument | undefined {
  const last = registeredArguments.at(-1)
  return registeredArguments[position] ?? (last?.variadic ? last : undefined)
}

async function valuesOfOption(option: Option): Promise<Completions> {
  if (!option.required && !option.optional) return NOTHING
  const values = option.argChoices?.map((value): Candidate => [value, '']) ?? OPTION_VALUES[option.flags]?.()
  return { candidates: (await values) ?? [], files: /[<[]file[.\]>]/.test(option.flags) }
}

async function valuesOfArgument(command: Command, argument: Argument): Promise<Completions> {
  const values =
    argument.argChoices?.map((value): Candidate => [value, '']) ??
    ARGUMENT_VALUES[`${pathOf(command)} ${argument.name()}`]?.()
  return { candidates: (await values) ?? [], files: argument.name() === 'file' }
}

/** Without the name of the program. */
export function pathOf(command: Command): string {
  return [...withParents(command)]
    .map((one) => one.name())
    .reverse()
    .slice(1)
    .join(' ')
}

function namesOf(command: Command): string[] {
  return [command.name(), ...command.aliases()]
}

function starting(typed: string, { candidates, files }: Completions): Completions {
  return { candidates: candidates.filter(([value]) => value.startsWith(typed)), files }
}
