import { type Static, Type } from '@sinclair/typebox'
import { checkHttpUrl } from '../../config/http-url.js'
import type { Problem } from '../../config/problems.js'
import { secretOption } from '../../config/secret-option.js'

export const token = secretOption('token', {
  is: 'the token of the bot',
  pattern: '^[A-Za-z0-9_.-]{20,}$',
  expected: 'the token of a bot',
  required: true,
})

/** https://discord.com/developers/docs/events/gateway#gateway-intents */
const INTENTS = { GuildMessages: 1 << 9, DirectMessages: 1 << 12, MessageContent: 1 << 15 }

export const DiscordOptions = Type.Object(
  {
    ...token.schema,
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
  yield* token.check(options, env)
  yield* checkHttpUrl('apiUrl', options.apiUrl, 'an http or https URL')
}

/** As the gateway of Discord takes them. */
export function intentBits({ intents }: DiscordOptions): number {
  return intents.reduce((bits, intent) => bits | INTENTS[intent], 0)
}
