import { type Static, Type } from '@sinclair/typebox'
import { SIGNING_SECRET } from '../agents/http/options.js'
import { secretOption } from '../config/secret-option.js'

const text = (description: string) => Type.String({ minLength: 1, maxLength: 65_536, description })
const short = (expected: string) => Type.Optional(Type.String({ minLength: 1, maxLength: 256, expected }))
const closed = { additionalProperties: false }

export const secret = secretOption('secret', SIGNING_SECRET)

/** It may hold a key of its own. */
export const url = secretOption('url', {
  is: 'the URL that is posted to',
  pattern: '^https?://',
  expected: 'an http or https URL',
  required: true,
})

/** One rule of hooks.yaml. */
export const Rule = Type.Object(
  {
    name: Type.String({
      pattern: '^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$',
      expected: 'a name of letters, digits, `_` and `-`, at most 64',
    }),
    description: Type.Optional(Type.String({ maxLength: 1_024 })),
    on: Type.Union([Type.String(), Type.Array(Type.String(), { minItems: 1 })], {
      expected: 'an internal event such as agent:failed, a pattern such as agent:*, or a list of them',
    }),
    when: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), { expected: 'fields and what they are compared with' }),
    ),
    priority: Type.Optional(Type.Integer({ minimum: -1_000_000, maximum: 1_000_000 })),
    enabled: Type.Optional(Type.Boolean()),
    log: Type.Optional(
      Type.Object(
        {
          level: Type.Optional(
            Type.Union(['debug', 'info', 'warn', 'error'].map((level) => Type.Literal(level))),
          ),
          text: text('A template.'),
        },
        closed,
      ),
    ),
    webhook: Type.Optional(
      Type.Object(
        {
          ...url.schema,
          ...secret.schema,
          text: Type.Optional(text('A template.')),
          attempts: Type.Optional(Type.Integer({ minimum: 1, maximum: 10 })),
          timeoutMs: Type.Optional(Type.Integer({ minimum: 1, maximum: 60_000, unit: 'ms' })),
        },
        closed,
      ),
    ),
    message: Type.Optional(
      Type.Object(
        {
          sessionKey: short('a session key, or a template such as {{sessionKey}}'),
          channel: short('the name of a channel'),
          peer: short('who it is for, as the channel names them'),
          thread: short('a thread, as the channel names it'),
          text: text('A template.'),
        },
        closed,
      ),
    ),
  },
  closed,
)
export type Rule = Static<typeof Rule>

/** The whole of hooks.yaml. */
export const RulesDocument = Type.Object(
  { hooks: Type.Array(Rule, { maxItems: 1_000, expected: 'a list of rules, at most 1000' }) },
  closed,
)
