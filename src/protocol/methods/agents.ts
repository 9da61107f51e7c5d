import { Type } from '@sinclair/typebox'
import { Outcome } from '../accepted.js'
import { OpenQuestion } from '../agent-reports.js'
import { contract } from '../contract.js'
import { Id } from '../primitives.js'

export const agentWait = contract({
  name: 'agent.wait',
  summary:
    'Waits for a run’s outcome. A run that ended before answers at once; past `timeoutMs`: `AGENT_TIMEOUT`.',
  scope: 'read',
  params: Type.Object({
    runId: Id,
    timeoutMs: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 3_600_000, description: 'Default: 600000.' }),
    ),
  }),
  result: Outcome,
})

export const agentAbort = contract({
  name: 'agent.abort',
  summary:
    'Stops a run, or with a session key all that runs and waits in that session. Answers with the runs that were stopped.',
  scope: 'write',
  session: 'optional',
  audited: true,
  params: Type.Object({
    runId: Type.Optional(Id),
    reason: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
  }),
  result: Type.Object({ aborted: Type.Array(Id) }),
})

export const agentQuestions = contract({
  name: 'agent.questions',
  summary:
    'What agents ask and nobody has answered yet, oldest first; with a session key those of that session.',
  scope: 'read',
  session: 'optional',
  params: Type.Object({}),
  result: Type.Object({
    questions: Type.Array(Type.Object({ sessionKey: Type.String(), ...OpenQuestion.properties })),
  }),
})

export const agentAnswer = contract({
  name: 'agent.answer',
  summary:
    'Answers a question of `agent.permission`, by one of its options or by `cancel`; `NOT_FOUND` once it is over.',
  scope: 'write',
  session: 'optional',
  params: Type.Object({
    requestId: Id,
    optionId: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
    cancel: Type.Optional(Type.Literal(true)),
  }),
  result: Type.Object({ runId: Id }),
})

export const agentsList = contract({
  name: 'agents.list',
  summary: 'The agents of this gateway.',
  scope: 'read',
  params: Type.Object({}),
  result: Type.Object({
    agents: Type.Array(
      Type.Object({
        name: Type.String(),
        type: Type.String(),
        default: Type.Boolean(),
        concurrency: Type.Optional(
          Type.Integer({ minimum: 1, description: 'Runs at the same time at most.' }),
        ),
        waiting: Type.Optional(
          Type.Integer({ minimum: 0, description: 'Lanes that wait until it takes another run.' }),
        ),
        breaker: Type.Optional(
          Type.Union([Type.Literal('closed'), Type.Literal('open'), Type.Literal('half-open')], {
            description:
              '`closed`: all is well; `open`: nothing is tried; `half-open`: one run at a time is.',
          }),
        ),
        workers: Type.Optional(
          Type.Object(
            {
              connected: Type.Integer({ minimum: 0 }),
              credit: Type.Integer({
                minimum: 0,
                description: 'Runs that they take at the same time, all together.',
              }),
              running: Type.Integer({ minimum: 0 }),
            },
            { description: 'Of an agent of type `worker`.' },
          ),
        ),
      }),
    ),
  }),
})
