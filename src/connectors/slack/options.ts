import { type Static, Type } from '@sinclair/typebox'
import type { Problem } from '../../config/problems.js'
import { checkApiUrl, checkSecret, readSecret } from '../secrets.js'

const BOT_TOKEN = /^(xoxe\.)?xoxb-[\x21-\x7e]+$/
const APP_TOKEN = /^xapp-[\x21-\x7e]+$/

export const SlackOptions = Type.Object(
  {
    botTokenEnv: Type.Optional(
      Type.String({ description: 'The environment variable that holds the bot token (`xoxb-…`).' }),
    ),
    botToken: Type.Optional(
      Type.String({
        secret: true,
        description: 'The bot token itself; `botTokenEnv` keeps it out of the file.',
      }),
    ),
    appTokenEnv: Type.Optional(
      Type.String({
        description:
          'The environment variable that holds the app-level token (`xapp-…`) with the scope `connections:write`.',
      }),
    ),
    appToken: Type.Optional(
      Type.String({
        secret: true,
        description: 'The app-level token itself; `appTokenEnv` keeps it out of the file.',
      }),
    ),
    apiUrl: Type.String({
      default: 'https://slack.com/api/',
      expected: 'an http or https URL',
      description: 'Where the Web API is.',
    }),
    threads: Type.Boolean({
      default: true,
      description:
        'Whether a message to a channel begins a thread, and with it a session of its own. A thread that someone else began is one either way.',
    }),
    format: Type.Union([Type.Literal('markdown'), Type.Literal('plain')], {
      default: 'markdown',
      expected: '`markdown` or `plain`',
      description:
        '`markdown`: Slack renders the Markdown of an answer; `plain`: it is shown with its marks, as it was written.',
    }),
  },
  { additionalProperties: false },
)
export type SlackOptions = Static<typeof SlackOptions>

export interface SlackTokens {
  readonly bot: string
  readonly app: string
}

/** What the schema cannot say. */
export function* checkOptions(options: SlackOptions, env: NodeJS.ProcessEnv): Generator<Problem> {
  yield* checkSecret(botToken(options), env, BOT_TOKEN, 'a bot token that begins with xoxb-')
  yield* checkSecret(appToken(options), env, APP_TOKEN, 'an app-level token that begins with xapp-')
  yield* checkApiUrl('apiUrl', options.apiUrl)
}

/** Of options that were checked. */
export function readTokens(options: SlackOptions, env: NodeJS.ProcessEnv): SlackTokens {
  return { bot: readSecret(botToken(options), env)!, app: readSecret(appToken(options), env)! }
}

const botToken = ({ botToken, botTokenEnv }: SlackOptions) => ({
  name: 'botToken',
  value: botToken,
  variable: botTokenEnv,
})

const appToken = ({ appToken, appTokenEnv }: SlackOptions) => ({
  name: 'appToken',
  value: appToken,
  variable: appTokenEnv,
})
