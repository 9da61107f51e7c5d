import { Type } from '@sinclair/typebox'
import { contract, SCOPES } from '../contract.js'

export const MethodDescription = Type.Object(
  {
    name: Type.String(),
    summary: Type.String(),
    scope: Type.Union([...SCOPES.map((scope) => Type.Literal(scope)), Type.Null()]),
    session: Type.Union([Type.Literal('required'), Type.Literal('optional'), Type.Literal('none')]),
    params: Type.Unknown({ description: 'JSON Schema of `params`.' }),
    result: Type.Unknown({ description: 'JSON Schema of `result`.' }),
  },
  { $id: 'Method' },
)

export const EventDescription = Type.Object(
  {
    name: Type.String(),
    summary: Type.String(),
    durable: Type.Boolean(),
    scope: Type.Union([...SCOPES.map((scope) => Type.Literal(scope)), Type.Null()]),
    payload: Type.Unknown({ description: 'JSON Schema of `payload`.' }),
  },
  { $id: 'EventDescription' },
)

export const Catalogue = Type.Object(
  { protocol: Type.Integer(), methods: Type.Array(MethodDescription), events: Type.Array(EventDescription) },
  { $id: 'Catalogue' },
)

export const methodsList = contract({
  name: 'methods.list',
  summary: 'Every method and event of this gateway with JSON Schemas.',
  scope: null,
  params: Type.Object({}),
  result: Catalogue,
})
