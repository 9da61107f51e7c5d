import { type Command, InvalidArgumentError } from 'commander'

/** A command that talks to a gateway: all of them find it in the same way. */
export function talking(parent: Command, name: string): Command {
  return parent
    .command(name)
    .option('--url <address>', 'the gateway, instead of that of the state folder')
    .option(
      '--token-file <file>',
      'file that holds the token; else LURKBOT_TOKEN and the configuration are read',
    )
    .option('--config <file>', 'configuration file, instead of the one in the state folder')
}

/** Hands a command's exit code to the process, which ends when its output is written. */
export function finish<Args extends unknown[]>(
  command: (...args: Args) => Promise<number>,
): (...args: Args) => Promise<void> {
  return async (...args) => {
    process.exitCode = await command(...args)
  }
}

export function seconds(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !(value > 0 && value <= 86_400)) {
    throw new InvalidArgumentError('expected seconds, more than 0 and at most 86400')
  }
  return value
}

export function duration(text: string): number {
  const [, digits, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? []
  if (digits === undefined) throw new InvalidArgumentError('expected a duration such as 90s, 15m, 12h or 30d')
  return Number(digits) * { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }[unit as 's' | 'm' | 'h' | 'd']
}
