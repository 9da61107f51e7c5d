import { type Static, Type } from '@sinclair/typebox'
import { skillsMaxChars } from '../backend/options.js'

export const WorkerOptions = Type.Object(
  {
    tokens: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        description:
          'Names of the tokens whose workers may take its runs. Default: every token with scope `agent`.',
      }),
    ),
    waitTimeoutMs: Type.Integer({
      minimum: 1,
      maximum: 2_147_483_647,
      default: 60_000,
      description:
        'How long runs wait while no worker is connected; past it each try fails with `UNAVAILABLE`.',
      unit: 'ms',
    }),
    maxHandovers: Type.Integer({
      minimum: 0,
      maximum: 1_000,
      default: 3,
      description: 'How many workers one try may lose and go on with another; one more fails the try.',
    }),
    historyLimit: Type.Optional(
      Type.Integer({
        minimum: 0,
        description: 'Earlier messages that are sent along. Default: `sessions.historyLimit`.',
      }),
    ),
    historyMaxBytes: Type.Integer({
      minimum: 0,
      maximum: 1_073_741_824,
      default: 262_144,
      description: 'Size of the earlier messages in all; the oldest are left out.',
      unit: 'bytes',
    }),
    skillsMaxChars,
  },
  { additionalProperties: false },
)
export type WorkerOptions = Static<typeof WorkerOptions>
