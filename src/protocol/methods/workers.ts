import { Type } from '@sinclair/typebox'
import { contract } from '../contract.js'
import { ErrorCodeSchema } from '../errors.js'
import { JsonObject } from '../primitives.js'
import { Lease } from '../worker-frames.js'

const Agent = Type.String({ minLength: 1, maxLength: 64, description: 'An agent of type `worker`.' })
const Nothing = Type.Object({})

export const workerRegister = contract({
  name: 'worker.register',
  summary:
    'Takes runs of an agent on this connection, whose hello has `caps: ["agent"]`: at most `credit` at the same time. ' +
    'Again: sets the credit anew; with 0 no further run comes, and those that are under way go on.',
  scope: 'agent',
  params: Type.Object({ agent: Agent, credit: Type.Integer({ minimum: 0, maximum: 10_000 }) }),
  result: Nothing,
})

export const workerUnregister = contract({
  name: 'worker.unregister',
  summary: 'Takes no more runs of an agent; those that are under way go to another worker at once.',
  scope: 'agent',
  params: Type.Object({ agent: Agent }),
  result: Nothing,
})

export const workerComplete = contract({
  name: 'worker.complete',
  summary:
    'The answer of a run. An empty `content` ends it without a message. `CONFLICT`: the lease is over, nothing was changed.',
  scope: 'agent',
  params: Type.Object({
    lease: Lease,
    content: Type.String(),
    metadata: Type.Optional(JsonObject),
    usage: Type.Optional(JsonObject),
  }),
  result: Nothing,
})

export const workerFail = contract({
  name: 'worker.fail',
  summary:
    'A run failed, with `UNAVAILABLE` where no code is given. Whether it is tried again is up to `retryable` and the agent’s policy. `CONFLICT`: the lease is over.',
  scope: 'agent',
  params: Type.Object({
    lease: Lease,
    error: Type.Object({
      message: Type.String({ minLength: 1, maxLength: 2048, description: 'Clients see it.' }),
      code: Type.Optional(ErrorCodeSchema),
      retryable: Type.Optional(Type.Boolean({ description: 'Default: true.' })),
      retryAfterMs: Type.Optional(Type.Integer({ minimum: 0, maximum: 2_147_483_647 })),
    }),
  }),
  result: Nothing,
})
