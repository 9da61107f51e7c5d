import type { CommandPrefix } from './connector.js'

/** What the gateway itself does for whoever writes on a channel. */
export type Command = 'help' | 'reset' | 'stop' | 'answer'

const COMMANDS: Readonly<Record<string, Command>> = {
  start: 'help',
  help: 'help',
  new: 'reset',
  reset: 'reset',
  stop: 'stop',
  answer: 'answer',
}

/** With words behind them the others are messages. `/start` may have a parameter, as links to a bot do. */
const WITH_ARGUMENT = new Set(['start', 'answer'])

/** `/new`, or `/new@mybot` where several bots read; `!new` where clients keep lines with a `/` to themselves. */
const FORM = /^[/!]([a-z]+)(?:@(\S+))?(?:\s+(.*))?$/is

export interface ParsedCommand {
  readonly command: Command
  /** The bot that it names; null: none. */
  readonly addressee: string | null
  /** What stands behind it; empty: nothing. */
  readonly argument: string
}

/** Null: it is a message like any other. */
export function parseCommand(text: string): ParsedCommand | null {
  const [, word = '', addressee = null, argument = ''] = FORM.exec(text.trim()) ?? []
  const name = word.toLowerCase()
  if (!Object.hasOwn(COMMANDS, name) || (argument !== '' && !WITH_ARGUMENT.has(name))) return null
  return { command: COMMANDS[name]!, addressee, argument }
}

/** Whether that is the gateway's own name on the platform, such as `@mybot`. */
export function isSame(addressee: string, identity: string | null): boolean {
  const bare = (name: string) => name.replace(/^@/, '').toLowerCase()
  return identity !== null && bare(addressee) === bare(identity)
}

export const TEXTS = {
  help: (prefix: CommandPrefix) =>
    'Write a message and it is answered here.\n' +
    `${prefix}new begins a new conversation.\n${prefix}stop ends the answer that is being written.\n` +
    `${prefix}answer answers what is asked here.\n${prefix}help shows this.`,
  reset: 'A new conversation begins.',
  stopped: 'Stopped.',
  idle: 'Nothing is being answered.',
  asks: 'The agent asks for permission:',
  answered: (name: string) => `Answered: ${name}`,
  over: 'That question is over.',
  notAsked: 'Nothing is being asked.',
  noOption: (usage: string) => `That is none of the answers. ${usage}`,
  usage: (prefix: CommandPrefix, first: number) =>
    `Answer with ${prefix}answer and the number, such as ${prefix}answer ${first}`,
  busy: 'There is too much to do at the moment. Please try again later.',
  refused: (why: string) => `This message cannot be taken: ${why}`,
  pairing: (code: string, minutes: number) =>
    `You are not known here yet. Ask whoever runs this gateway to approve your code: ${code}\n` +
    `It is valid for ${minutes === 1 ? 'a minute' : `${minutes} minutes`}.`,
  paired: 'You have been let in: write a message and it is answered here.',
  rejected: 'You have not been let in.',
} as const
