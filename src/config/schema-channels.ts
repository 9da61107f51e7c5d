import { Type } from '@sinclair/typebox'
import { age, bytes, count, ms, section } from './schema-kinds.js'

export const Connector = Type.Object(
  {
    type: Type.String({ minLength: 1, description: 'One that is built in or that a plugin adds.' }),
    enabled: Type.Optional(
      Type.Boolean({ description: 'Whether it starts with the gateway. Default: true.' }),
    ),
    channel: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$',
        expected: 'letters, digits, `_` and `-`, at most 32',
        description: 'The first segment of its session keys; no two connectors share one. Default: its type.',
      }),
    ),
    allow: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 256 }), {
        description:
          'Who may write: ids of people or groups as the platform names them; `*`: everyone. Default: everyone where the other side decides who writes (`webhook`, `mqtt`), else nobody but who is paired.',
      }),
    ),
    pairing: Type.Optional(
      Type.Boolean({
        description:
          'Whether a stranger is given a code that an operator approves. Default: true where there is no `allow`.',
      }),
    ),
    mentions: Type.Optional(
      Type.Boolean({
        description: 'In groups, answer only what names the gateway or answers it. Default: true.',
      }),
    ),
    preview: Type.Optional(
      Type.Boolean({
        description:
          'Show an answer as it grows, by editing a message, where the platform can. Default: true.',
      }),
    ),
    typing: Type.Optional(
      Type.Boolean({
        description: 'Show that an answer is being written, where the platform can. Default: true.',
      }),
    ),
    questions: Type.Optional(
      Type.Union([Type.Literal('ask'), Type.Literal('ignore')], {
        description:
          'Whether the people on it are asked what an agent asks. Default: `channels.questions`; `ignore` where the other side decides who writes (`webhook`, `mqtt`).',
      }),
    ),
  },
  { additionalProperties: true, description: 'Further keys are the options of the type.' },
)

export const Channels = section(
  {
    failureText: Type.String({
      minLength: 1,
      maxLength: 1_000,
      default: 'This could not be answered ({code}). Please try again.',
      description:
        'What the sender is told of a run that failed for good, `{code}` replaced by the error’s code; `off`: nothing.',
    }),
    questions: Type.Union([Type.Literal('ask'), Type.Literal('ignore')], {
      default: 'ask',
      description:
        'What becomes of the permissions that agents ask for in runs that came from a channel: `ask` asks the conversation, where whoever may write can answer; `ignore` leaves them to `agent.answer`.',
    }),
    maxPendingDeliveries: count(
      10_000,
      'Deliveries that wait for one channel; past it its new messages wait and `channels.send` is refused.',
    ),
    delivery: section(
      {
        attempts: count(20, 'Tries in all; then it is a dead letter.'),
        timeoutMs: ms(30_000, 'How long one try may take.', 100),
        backoffMs: ms(1_000, 'Wait before the second try; doubles each time, with jitter.'),
        maxBackoffMs: ms(300_000, 'The longest wait between tries.'),
        stopGraceMs: ms(
          2_000,
          'How long what is being sent may take at a stop; it is sent again after the start.',
          0,
        ),
      },
      'How what could not be delivered is tried again, while later ones for the same peer wait.',
    ),
    reconnect: section(
      {
        backoffMs: ms(1_000, 'Wait before the second attempt; doubles each time, with jitter.'),
        maxBackoffMs: ms(60_000, 'The longest wait between attempts.'),
        stableAfterMs: ms(30_000, 'A connection that held so long begins anew with the shortest wait.', 0),
        connectTimeoutMs: ms(30_000, 'How long one attempt may take.', 100),
      },
      'How a lost connection is made again.',
    ),
    stopGraceMs: ms(
      3_000,
      'How long a connector may take to let go of its connection; then it is left behind.',
      0,
    ),
    maxReceiving: count(
      1_000,
      'Messages of one channel that may wait to be accepted; its sender is told to try again.',
    ),
    receiveTimeoutMs: ms(60_000, 'How long a message may wait for room before it is refused.', 0),
    maxAttachmentBytes: bytes(1_048_576, 'The longest attachment that is taken over from a platform.', 0),
    pairing: section(
      {
        codeTtlMs: ms(3_600_000, 'How long a pairing code can be approved.', 1_000),
        maxPending: count(100, 'Strangers of one channel with a code; further ones get none.'),
        rejectedMs: age(
          86_400_000,
          'How long one who was refused cannot ask again; an operator may let them in all the same.',
          0,
        ),
      },
      'How strangers are let in.',
    ),
  },
  'What all connectors share.',
)
