import type { Command } from 'commander'
import type { NewTokenOptions, RotateTokenOptions, TokenOptions } from '../token.js'
import { duration, finish, talking } from './command.js'

/** `lurkbot token …` */
export function addTokenCommands(program: Command): void {
  const token = program.command('token').description('Make and end tokens, through the running gateway.')

  talking(token, 'new')
    .description('make a token and print its secret, this once')
    .argument('<name>', 'letters, digits, `.`, `_` and `-`')
    .option('--role <role>', 'admin, operator (the default), viewer or agent')
    .option('--scope <scopes...>', 'exactly these scopes: read, write, admin, agent')
    .option('--session <patterns...>', 'session-key patterns to be confined to, such as telegram:*')
    .option('--expires <duration>', 'such as 12h or 30d; else it does not expire', duration)
    .option('--json', 'as JSON')
    .action(
      finish(async (name: string, options: NewTokenOptions) =>
        (await import('../token.js')).newToken(name, options),
      ),
    )

  talking(token, 'list')
    .description('list the tokens, without their secrets')
    .option('--json', 'as JSON')
    .action(finish(async (options: TokenOptions) => (await import('../token.js')).listTokens(options)))

  talking(token, 'revoke')
    .description('end a token and every connection that came with it')
    .argument('<token>', 'its name or its id')
    .option('--json', 'as JSON')
    .action(
      finish(async (name: string, options: TokenOptions) =>
        (await import('../token.js')).revokeToken(name, options),
      ),
    )

  talking(token, 'rotate')
    .description('give a token a new secret and print it, this once')
    .argument('<token>', 'its name or its id')
    .option(
      '--overlap <duration>',
      'how long the secret before stays good, such as 1h; default: 24h',
      duration,
    )
    .option('--json', 'as JSON')
    .action(
      finish(async (name: string, options: RotateTokenOptions) =>
        (await import('../token.js')).rotateToken(name, options),
      ),
    )
}
