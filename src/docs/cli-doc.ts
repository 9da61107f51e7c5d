import type { Argument, Command } from 'commander'
import { createProgram } from '../cli/program.js'
import { code, type Parts, table } from './markdown.js'

/** The generated parts of `docs/cli.md`. */
export const cliParts: Parts = { commands: commandTable }

/** What the commands that talk to a gateway find it by; told once for all of them. */
const TARGET = ['--url', '--token-file', '--config']

function commandTable(): string {
  return table(['Command', 'Options', 'What it does'], [...rows(createProgram(), [])])
}

function* rows(command: Command, path: readonly string[]): Generator<string[]> {
  if (command.commands.length === 0) {
    const words = [...path, ...command.registeredArguments.map(usage)]
    yield [code(words.join(' ')), options(command), command.description()]
  }
  const help = command.createHelp()
  for (const child of help.visibleCommands(command)) {
    if (child.name() !== 'help') yield* rows(child, [...path, child.name()])
  }
}

function usage(argument: Argument): string {
  const name = `${argument.name().toUpperCase()}${argument.variadic ? '…' : ''}`
  return argument.required ? name : `[${name}]`
}

function options(command: Command): string {
  const own = command.options.filter(({ hidden, long }) => !hidden && long)
  const talks = TARGET.every((long) => own.some((option) => option.long === long))
  const names = own.filter(({ long }) => !(talks && TARGET.includes(long!))).map(({ long }) => code(long!))
  return [...(talks ? ['_target_'] : []), ...names].join(' ')
}
