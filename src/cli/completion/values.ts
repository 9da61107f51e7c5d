import type { TSchema } from '@sinclair/typebox'

/** A value, and what it means. */
export type Candidate = readonly [value: string, meaning: string]

type Values = () => Promise<readonly Candidate[]>

const plain = (values: readonly string[]): Candidate[] => values.map((value) => [value, ''])

/**
 * By its flags, what an option takes where the gateway, not the command line, decides what it takes. What they are made of is loaded when it is
 * asked for: a shell waits for it.
 */
export const OPTION_VALUES: Readonly<Record<string, Values>> = {
  '--log-level <level>': async () =>
    literals((await import('../../config/schema.js')).ConfigSchema.properties.log.properties.level),
  '--role <role>': async () => plain((await import('../../protocol/identity.js')).ROLES),
  '--scope <scopes...>': async () => plain((await import('../../protocol/contract.js')).SCOPES),
  '--misfire <policy>': async () =>
    literals((await import('../../protocol/cron.js')).CronJob.properties.misfire),
  '--overlap <policy>': async () =>
    literals((await import('../../protocol/cron.js')).CronJob.properties.overlap),
}

/** The same for arguments, by `COMMAND ARGUMENT`. */
export const ARGUMENT_VALUES: Readonly<Record<string, Values>> = {
  'gateway call method': async () => {
    const exported: readonly object[] = Object.values(await import('../../protocol/methods/index.js'))
    return exported.filter(isContract).map(({ name, summary }) => [name, summary])
  },
  'gateway events patterns': async () =>
    Object.values((await import('../../protocol/events.js')).EVENTS).map(({ name, summary }) => [
      name,
      summary,
    ]),
}

function isContract(value: object): value is { name: string; summary: string } {
  return 'params' in value && 'result' in value && 'summary' in value
}

function literals(schema: TSchema): Candidate[] {
  const choices = (schema.anyOf ?? []) as readonly { const?: unknown }[]
  return plain(choices.map((choice) => choice.const).filter((value) => typeof value === 'string'))
}
