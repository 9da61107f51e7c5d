import { type Static, Type } from '@sinclair/typebox'
import { historyLimit, historyMaxChars, ms } from '../backend/options.js'

export const AcpOptions = Type.Object(
  {
    command: Type.String({
      minLength: 1,
      description: 'The program: a name in the PATH, or a path relative to the configuration file’s folder.',
    }),
    args: Type.Array(Type.String(), { default: [], description: 'Its arguments.' }),
    cwd: Type.String({
      minLength: 1,
      description: 'The folder that it works in; relative to the configuration file’s folder.',
    }),
    env: Type.Record(Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]*$' }), Type.String(), {
      default: {},
      secret: true,
      description: 'Further environment variables; it has those of the gateway, without `LURKBOT_…`.',
    }),
    permission: Type.Union([Type.Literal('ask'), Type.Literal('allow'), Type.Literal('deny')], {
      default: 'ask',
      description: 'Who answers when it wants a permission: `ask` whoever may write to the session.',
    }),
    mode: Type.Optional(
      Type.String({ minLength: 1, description: 'The mode of its sessions, of those that it has.' }),
    ),
    model: Type.Optional(
      Type.String({ minLength: 1, description: 'The model of its sessions, of those that it offers.' }),
    ),
    historyLimit,
    historyMaxChars,
    maxSessions: Type.Integer({
      minimum: 1,
      maximum: 10_000,
      default: 100,
      description: 'Conversations that it keeps; the one that rested longest begins anew, with its history.',
    }),
    maxMessageBytes: Type.Integer({
      minimum: 1024,
      maximum: 268_435_456,
      default: 16_777_216,
      description: 'The longest message that it may send; a longer one ends the process.',
      unit: 'bytes',
    }),
    startTimeoutMs: ms(60_000, 600_000, 'How long it may take to start, and to begin a conversation.'),
    cancelTimeoutMs: ms(
      10_000,
      600_000,
      'How long it may take to stop a run; past it the conversation begins anew.',
    ),
    idleTimeoutMs: Type.Integer({
      minimum: 0,
      maximum: 2_147_483_647,
      default: 1_800_000,
      description: 'Without work for so long its process is ended until the next run; 0: never.',
      unit: 'ms',
    }),
  },
  { additionalProperties: false },
)
export type AcpOptions = Static<typeof AcpOptions>
