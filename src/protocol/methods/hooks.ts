import { Type } from '@sinclair/typebox'
import { contract } from '../contract.js'
import { HookDescription, SourceProblem } from '../hooks.js'

const result = Type.Object({
  hooks: Type.Array(HookDescription, { description: 'In the order in which they run.' }),
  problems: Type.Array(SourceProblem, { description: 'Modules and rules that are not in use, and why.' }),
})

export const hooksList = contract({
  name: 'hooks.list',
  summary: 'What is hooked to which internal events, and how it is doing.',
  scope: 'admin',
  params: Type.Object({}),
  result,
})

export const hooksReload = contract({
  name: 'hooks.reload',
  summary:
    'Reads the hook folders and hooks.yaml anew. Modules that have changed are loaded again; a bad one is left out, a bad hooks.yaml keeps the rules that were.',
  scope: 'admin',
  params: Type.Object({}),
  result,
})
