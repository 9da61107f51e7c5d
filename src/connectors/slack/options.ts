import { type Static, Type } from '@sinclair/typebox'
import { checkHttpUrl } from '../../config/http-url.js'
import type { Problem } from '../../config/problems.js'
import { secretOption } from '../../config/secret-option.js'

const botToken = secretOption('botToken', {
  is: 'the bot token (`xoxb-…`)',
  pattern: '^(xoxe\\.)?xoxb-[\\x21-\\x7e]+$',
  expected: 'a bot token that begins with xoxb-',
  required: true,
})

const appToken = secretOption('appToken', {
  is: 'the app-level token (`xapp-…`) with the scope `connections:write`',
  pattern: '^xapp-[\\x21-\\x7e]+$',
  expected: 'an app-level token that begins with xapp-',
  required: true,
})

export const SlackOptions = Type.Object(
  {
    ...botToken.schema,
    ...appToken.schema,
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
  /** The variable that is to hold one of them and is not set. */
  readonly unset: string | undefined
}

/** What the schema cannot say. */
export function* checkOptions(options: SlackOptions, env: NodeJS.ProcessEnv): Generator<Problem> {
  yield* botToken.check(options, env)
  yield* appToken.check(options, env)
  yield* checkHttpUrl('apiUrl', options.apiUrl, 'an http or https URL')
}

/** Of options that were checked. */
export function readTokens(options: SlackOptions, env: NodeJS.ProcessEnv): SlackTokens {
  return {
    bot: botToken.read(options, env) ?? '',
    app: appToken.read(options, env) ?? '',
    unset: botToken.unset(options, env) ?? appToken.unset(options, env),
  }
}
