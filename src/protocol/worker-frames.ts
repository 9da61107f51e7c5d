import { type Static, Type } from '@sinclair/typebox'
import { AgentReport } from './agent-reports.js'

export const Lease = Type.String({ minLength: 1, maxLength: 64, description: 'The `lease` of `worker.run`.' })

/** The event frame with which a worker streams: it is taken, not published, and answered only when it is refused. */
export const WORKER_DELTA = 'worker.delta'

/** The same for what a worker tells of tools and of reasoning. */
export const WORKER_REPORT = 'worker.report'

/** The payload of `worker.delta`. */
export const WorkerDelta = Type.Object({ lease: Lease, text: Type.String() }, { $id: 'WorkerDelta' })
export type WorkerDelta = Static<typeof WorkerDelta>

/** The payload of `worker.report`. */
export const WorkerReport = Type.Object({ lease: Lease, report: AgentReport }, { $id: 'WorkerReport' })
export type WorkerReport = Static<typeof WorkerReport>
