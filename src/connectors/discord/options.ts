import { type Static, Type } from '@sinclair/typebox'
import type { Problem } from '../../config/problems.js'
import { checkApiUrl, checkSecret, readSecret } from '../secrets.js'

const TOKEN = /^[A-Za-z0-9_.-]{20,}$/

/** https://discord.com/developers/docs/events/gateway#gateway-intents */
const INTENTS = { GuildMessages: 1 << 9, DirectMessages: 1 << 12, MessageContent: 1 << 15 }

export const DiscordOptions = Type.Object(
  {
    tokenEnv: Type.Optional(
      Type.String({ description: 'The environment variable that holds the token of the bot.' }),
    ),
    token: Type.Optional(
      Type.String({ secret: true, description: 'The token itself; `tokenEnv` keeps it out of the file.' }),
    ),
    apiUrl: Type.String({
      default: 'https://discord.com/api',
      expected: 'an http or https URL',
      description: 'Where the API is, without its version.',
    }),
    intents: Type.Array(
      Type.Union([
        Type.Literal('GuildMessages'),
        Type.Literal('DirectMessages'),
        Type.Literal('MessageContent'),
      ]),
      {
        default: ['GuildMessages', 'DirectMessages', 'MessageContent'],
        minItems: 1,
        expected: 'some of GuildMessages, DirectMessages and MessageContent',
        description:
          'What is received. Without `MessageContent`, which has to be granted to the bot, messages in a server that do not mention it come without their text.',
      },
    ),
  },
  { additionalProperties: false },
)
export type DiscordOptions = Static<typeof DiscordOptions>

/** What the schema cannot say. */
export function* checkOptions(options: DiscordOptions, env: NodeJS.ProcessEnv): Generator<Problem> {
  yield* checkSecret(secret(options), env, TOKEN, 'the token of a bot')
  yield* checkApiUrl('apiUrl', options.apiUrl)
}

/** Of options that were checked. */
export function readToken(options: DiscordOptions, env: NodeJS.ProcessEnv): string {
  return readSecret(secret(options), env)!
}

/** As the gateway of Discord takes them. */
export function intentBits({ intents }: DiscordOptions): number {
  return intents.reduce((bits, intent) => bits | INTENTS[intent], 0)
}

const secret = ({ token, tokenEnv }: DiscordOptions) => ({ name: 'token', value: token, variable: tokenEnv })
