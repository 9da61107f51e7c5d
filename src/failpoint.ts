/**
 * The places where the fault suite ends the process with SIGKILL: between each two steps of a write, from its way to the
 * writer's thread to the bytes of the response; of retention; and of opening the file.
 */
export const FAILPOINTS = [
  'batch.fed',
  'batch.sent',
  'batch.beginning',
  'batch.begun',
  'batch.written',
  'batch.flushed',
  'batch.committed',
  'batch.answered',
  'batch.publishing',
  'batch.published',
  'batch.settled',
  'response.writing',
  'response.written',
  'outcome.completing',
  'outcome.completed',
  'log.moving',
  'log.moved',
  'retention.stepping',
  'retention.stepped',
  'retention.entries',
  'retention.expired',
  'retention.trimmed',
  'search.added',
  'search.removed',
  'open.locked',
  'open.made',
  'open.migrating',
  'open.migrated',
  'open.logged',
  'open.sealed',
] as const

export type Failpoint = (typeof FAILPOINTS)[number]

/**
 * Does nothing. Imported as `#failpoint`, which under the condition `failpoints` (package.json, imports) is the one of
 * test/fault/ instead: what is installed has no way to end itself.
 */
export function failpoint(_point: Failpoint): void {}
