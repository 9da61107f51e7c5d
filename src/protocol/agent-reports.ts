import { type Static, Type } from '@sinclair/typebox'
import { Id } from './primitives.js'

const toolCall = {
  callId: Type.String({ minLength: 1, maxLength: 256, description: 'The same in all reports of one call.' }),
  title: Type.Optional(Type.String({ description: 'What it does, for people, or the tool’s name.' })),
  status: Type.Union([
    Type.Literal('started'),
    Type.Literal('updated'),
    Type.Literal('completed'),
    Type.Literal('failed'),
  ]),
  input: Type.Optional(
    Type.Unknown({ description: 'Any JSON; past `lanes.reports.maxBytes` its start as text.' }),
  ),
  output: Type.Optional(Type.Unknown({ description: 'The same.' })),
}

/** A call of a tool by an agent, as far as it has come. */
export const ToolCall = Type.Object(toolCall, { $id: 'ToolCall' })
export type ToolCall = Static<typeof ToolCall>

/** What an agent tells of its work besides the answer, where its backend gives it. */
export const AgentReport = Type.Union([
  Type.Object({ type: Type.Literal('tool'), ...toolCall }),
  Type.Object({ type: Type.Literal('reasoning'), text: Type.String() }),
])
export type AgentReport = Static<typeof AgentReport>

/** What an agent asks before it does something. */
export const PermissionQuestion = Type.Object({
  title: Type.String({ minLength: 1 }),
  options: Type.Array(
    Type.Object({
      id: Type.String({ minLength: 1, maxLength: 256 }),
      name: Type.String(),
      kind: Type.Union([
        Type.Literal('allow_once'),
        Type.Literal('allow_always'),
        Type.Literal('reject_once'),
        Type.Literal('reject_always'),
      ]),
    }),
    { minItems: 1, maxItems: 16 },
  ),
  tool: Type.Optional(ToolCall),
})
export type PermissionQuestion = Static<typeof PermissionQuestion>

/** One of the question's options; null: nobody chooses, the agent is to go without. */
export interface PermissionAnswer {
  readonly optionId: string | null
}

/** How a question ended: `declined` by who chose none of its options, `expired` with its run's time, `ended` with its run or agent. */
export const QuestionOutcome = Type.Union([
  Type.Literal('answered'),
  Type.Literal('declined'),
  Type.Literal('expired'),
  Type.Literal('ended'),
])
export type QuestionOutcome = Static<typeof QuestionOutcome>

/** A question that an agent waits for an answer to. */
export const OpenQuestion = Type.Object({ runId: Id, requestId: Id, ...PermissionQuestion.properties })
export type OpenQuestion = Static<typeof OpenQuestion>
