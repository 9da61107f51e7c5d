import { type Static, Type } from '@sinclair/typebox'

export const Lease = Type.String({ minLength: 1, maxLength: 64, description: 'The `lease` of `worker.run`.' })

/** The event frame with which a worker streams: it is taken, not published, and answered only when the lease is over. */
export const WORKER_DELTA = 'worker.delta'

/** Its payload. */
export const WorkerDelta = Type.Object({ lease: Lease, text: Type.String() }, { $id: 'WorkerDelta' })
export type WorkerDelta = Static<typeof WorkerDelta>
