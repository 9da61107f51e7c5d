import { Type } from '@sinclair/typebox'
import { ms, section } from './schema-kinds.js'

/** What the whole process may take up before it refuses new work. */
export const Overload = section(
  {
    maxRssBytes: Type.Integer({
      minimum: 0,
      maximum: 1_099_511_627_776,
      default: 0,
      unit: 'bytes',
      description:
        'Memory of the process past which new events and connections are refused; 0: 85 % of the container’s memory, or else the machine’s.',
    }),
    maxHeapPercent: Type.Integer({
      minimum: 1,
      maximum: 100,
      default: 85,
      unit: '%',
      description: 'The same of V8’s heap, of its limit (`--max-old-space-size`).',
    }),
    sampleIntervalMs: ms(250, 'How often memory is looked at.', 10),
    collectAfterMs: ms(
      10_000,
      'How long memory may be past a bound before garbage is collected, which stops the process for a moment, and how often then.',
      100,
    ),
    maxLoopDelayMs: ms(1_000, 'Delay of the event loop past which the gateway is not ready.', 50),
    loopDelayWindowMs: ms(
      5_000,
      'The window of that delay: readiness recovers within two, and a probe should come more often.',
      100,
    ),
  },
  'Bounds of the process; past them new work is refused before anything breaks.',
)
