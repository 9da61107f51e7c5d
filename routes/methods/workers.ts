import type { FastifyInstance } from 'fastify'
import { WorkerPool } from '../../src/agents/worker/pool.js'
import type { Connection } from '../../src/connection/connection.js'
import { readFrameId } from '../../src/connection/inbound.js'
import {
  GatewayError,
  WORKER_DELTA,
  WORKER_REPORT,
  WorkerDelta,
  WorkerReport,
  workerComplete,
  workerFail,
  workerRegister,
  workerUnregister,
} from '../../src/protocol/index.js'
import { compileValidator } from '../../src/protocol/validation.js'

const validateDelta = compileValidator(WorkerDelta, 'payload')
const validateReport = compileValidator(WorkerReport, 'payload')

/** `worker.*`, and the event frames with which workers stream. */
export default async function workerMethods(app: FastifyInstance): Promise<void> {
  const { agents, workers } = app

  function poolOf(name: string): WorkerPool {
    const agent = agents.get(name)?.agent
    if (agent instanceof WorkerPool) return agent
    throw new GatewayError('NOT_FOUND', `There is no agent '${name}' of type worker.`, {
      details: { agent: name },
    })
  }

  app.method(workerRegister, ({ agent, credit }, { connection, principal }) => {
    if (!connection.isWorker) {
      throw new GatewayError(
        'INVALID_REQUEST',
        'hello.caps: expected ["agent"] of a connection that takes runs',
      )
    }
    const pool = poolOf(agent)
    pool.admit(principal)
    workers.register(connection, pool, credit)
    return {}
  })

  app.method(workerUnregister, ({ agent }, { connection }) => {
    workers.unregister(connection, poolOf(agent))
    return {}
  })

  app.method(workerComplete, ({ lease, content, metadata, usage }, { connection }) => {
    const { pool, run } = workers.leased(connection, lease)
    pool.complete(run, { content, metadata, usage })
    return {}
  })

  app.method(workerFail, ({ lease, error }, { connection }) => {
    const { pool, run } = workers.leased(connection, lease)
    const { code = 'UNAVAILABLE', message, retryable = true, retryAfterMs } = error
    pool.fail(run, new GatewayError(code, message, { retryable, retryAfterMs }))
    return {}
  })

  take(WORKER_DELTA, (connection, payload) => {
    validateDelta(payload)
    const { lease, text } = payload as WorkerDelta
    const { pool, run } = workers.leased(connection, lease)
    pool.delta(run, text)
  })

  take(WORKER_REPORT, (connection, payload) => {
    validateReport(payload)
    const { lease, report } = payload as WorkerReport
    workers.leased(connection, lease).run.context.report(report)
  })

  /** Event frames for us. Whoever may not work holds no lease. */
  function take(event: string, handle: (connection: Connection, payload: unknown) => void): void {
    app.connections.taken.set(event, (connection, frame) => {
      try {
        handle(connection, frame.payload)
      } catch (error) {
        connection.respondError(readFrameId(frame), error)
      }
    })
  }
}
