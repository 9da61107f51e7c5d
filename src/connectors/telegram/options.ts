import { type Static, Type } from '@sinclair/typebox'
import { checkHttpUrl } from '../../config/http-url.js'
import type { Problem } from '../../config/problems.js'
import { secretOption } from '../../config/secret-option.js'

export const token = secretOption('token', {
  is: 'the token of the bot',
  // It is part of every URL.
  pattern: '^[A-Za-z0-9:_-]+$',
  expected: 'a token as @BotFather gives it',
  required: true,
})

export const TelegramOptions = Type.Object(
  {
    ...token.schema,
    apiRoot: Type.String({
      default: 'https://api.telegram.org',
      expected: 'an http or https URL such as https://api.telegram.org',
      description: 'Where the Bot API is; another one for a Bot API server of your own.',
    }),
    webhookUrl: Type.Optional(
      Type.String({
        expected: 'an http or https URL such as https://gateway.example.com/channels/telegram',
        description: 'Where Telegram reaches this connector’s endpoint. Left out: long polling.',
      }),
    ),
    webhookCheckMs: Type.Integer({
      minimum: 1,
      maximum: 86_400_000,
      default: 60_000,
      description: 'How often Telegram is asked whether the webhook still holds.',
      unit: 'ms',
    }),
    pollTimeoutS: Type.Integer({
      minimum: 0,
      maximum: 50,
      default: 30,
      description: 'How long Telegram keeps a poll open that has nothing to tell.',
      unit: 's',
    }),
    pollPauseMs: Type.Integer({
      minimum: 1,
      maximum: 60_000,
      default: 100,
      description: 'Wait after a poll that had nothing to tell.',
      unit: 'ms',
    }),
    downloadTimeoutMs: Type.Integer({
      minimum: 1,
      maximum: 600_000,
      default: 30_000,
      description: 'How long the download of a file may take; the message then comes without it.',
      unit: 'ms',
    }),
    edits: Type.Union([Type.Literal('ignore'), Type.Literal('message')], {
      default: 'ignore',
      expected: 'ignore or message',
      description:
        'What an edited message is: nothing new, or a message of its own with `metadata.telegram.edited`.',
    }),
    format: Type.Union([Type.Literal('plain'), Type.Literal('markdown')], {
      default: 'markdown',
      expected: 'plain or markdown',
      description: 'Whether code and bold text of an answer are shown as such, or with their marks.',
    }),
    commands: Type.Boolean({
      default: true,
      description: 'Whether the bot’s command menu is set to what the gateway knows.',
    }),
  },
  { additionalProperties: false },
)
export type TelegramOptions = Static<typeof TelegramOptions>

/** What the schema cannot say. */
export function* checkOptions(options: TelegramOptions, env: NodeJS.ProcessEnv): Generator<Problem> {
  yield* checkUrl('apiRoot', options.apiRoot)
  if (options.webhookUrl !== undefined) yield* checkUrl('webhookUrl', options.webhookUrl)
  yield* token.check(options, env)
}

function* checkUrl(path: 'apiRoot' | 'webhookUrl', text: string): Generator<Problem> {
  const problems = [...checkHttpUrl(path, text, TelegramOptions.properties[path].expected!)]
  yield* problems
  if (problems.length > 0 || path !== 'apiRoot') return
  const { search, hash } = new URL(text)
  if (search !== '' || hash !== '')
    yield { path, message: 'expected no query: the methods are appended to it' }
}
