/** What the gateway itself does for whoever writes on a channel. */
export type Command = 'help' | 'new' | 'reset' | 'stop'

const COMMANDS: Readonly<Record<string, Command>> = {
  '/start': 'help',
  '/help': 'help',
  '/new': 'new',
  '/reset': 'reset',
  '/stop': 'stop',
}

/** `/new`, or `/new@mybot` where several bots read; `/start` may have a parameter, as links to a bot do. */
const FORM = /^(?:(\/start)(?:@(\S+))?(?:\s.*)?|(\/[a-z]+)(?:@(\S+))?)$/is

export interface ParsedCommand {
  readonly command: Command
  /** The bot that it names; null: none. */
  readonly addressee: string | null
}

/** Null: it is a message like any other. */
export function parseCommand(text: string): ParsedCommand | null {
  const [, start, startAddressee, word = start, addressee = startAddressee] = FORM.exec(text.trim()) ?? []
  const name = word?.toLowerCase() ?? ''
  if (!Object.hasOwn(COMMANDS, name)) return null
  return { command: COMMANDS[name]!, addressee: addressee ?? null }
}

/** Whether that is the gateway's own name on the platform, such as `@mybot`. */
export function isSame(addressee: string, identity: string | null): boolean {
  const bare = (name: string) => name.replace(/^@/, '').toLowerCase()
  return identity !== null && bare(addressee) === bare(identity)
}

export const TEXTS = {
  help:
    'Write a message and it is answered here.\n' +
    '/new begins a new conversation.\n/stop ends the answer that is being written.\n/help shows this.',
  reset: 'A new conversation begins.',
  stopped: 'Stopped.',
  idle: 'Nothing is being answered.',
  busy: 'There is too much to do at the moment. Please try again later.',
  refused: (why: string) => `This message cannot be taken: ${why}`,
  pairing: (code: string, minutes: number) =>
    `You are not known here yet. Ask whoever runs this gateway to approve your code: ${code}\n` +
    `It is valid for ${minutes === 1 ? 'a minute' : `${minutes} minutes`}.`,
  paired: 'You have been let in: write a message and it is answered here.',
} as const
