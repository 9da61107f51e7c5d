import { type Static, Type } from '@sinclair/typebox'
import { found } from '../../config/expectation.js'
import type { Problem } from '../../config/problems.js'

/** It is part of every URL. */
const TOKEN = '^[A-Za-z0-9:_-]+$'

export const TelegramOptions = Type.Object(
  {
    tokenEnv: Type.Optional(
      Type.String({ description: 'The environment variable that holds the token of the bot.' }),
    ),
    token: Type.Optional(
      Type.String({
        pattern: TOKEN,
        secret: true,
        expected: 'a token as @BotFather gives it',
        description: 'The token itself; `tokenEnv` keeps it out of the file.',
      }),
    ),
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
  const { token, tokenEnv } = options
  if (tokenEnv === undefined) {
    if (token === undefined) yield { path: 'tokenEnv', message: 'expected it, or token; found neither' }
    return
  }
  if (token !== undefined) yield { path: 'token', message: 'expected nothing beside tokenEnv' }
  // Whoever mistakes it for the token itself must not find the token in a log.
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(tokenEnv)) {
    yield {
      path: 'tokenEnv',
      message: 'expected the name of an environment variable (what was found is not shown)',
    }
  } else if (!new RegExp(TOKEN).test(readToken(options, env) ?? 'unset')) {
    yield {
      path: 'tokenEnv',
      message: 'expected a variable that holds a token as @BotFather gives it (its value is not shown)',
    }
  }
}

function* checkUrl(path: 'apiRoot' | 'webhookUrl', text: string): Generator<Problem> {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    const { expected } = TelegramOptions.properties[path]
    yield { path, message: `expected ${expected}, found ${found(text, false)}` }
  } else if (url.username !== '' || url.password !== '') {
    yield { path, message: 'expected no credentials in the URL' }
  } else if (path === 'apiRoot' && (url.search !== '' || url.hash !== '')) {
    yield { path, message: 'expected no query: the methods are appended to it' }
  }
}

/** Undefined: its variable is not set. */
export function readToken({ token, tokenEnv }: TelegramOptions, env: NodeJS.ProcessEnv): string | undefined {
  return token ?? (tokenEnv === undefined ? undefined : env[tokenEnv]?.trim() || undefined)
}
