import type { RunningApp } from './app.js'
import type { Frame, TestSocket } from './socket.js'

export const WORKER_HELLO = { caps: ['agent'] }

/** A worker over a bare WebSocket; runs wait for the test, unless `onRun` answers them. */
export class TestWorker {
  readonly #taken = new Set<Frame>()

  constructor(readonly socket: TestSocket) {}

  static async connect(
    { connect }: Pick<RunningApp, 'connect'>,
    options: { agent?: string; credit?: number; hello?: Record<string, unknown> } = {},
  ): Promise<TestWorker> {
    const { agent = 'brain', credit = 1, hello = {} } = options
    const worker = new TestWorker(await connect({ ...WORKER_HELLO, ...hello }))
    await worker.register(credit, agent)
    return worker
  }

  register(credit: number, agent = 'brain'): Promise<unknown> {
    return this.socket.call('worker.register', { agent, credit })
  }

  /** What it was given so far. */
  get runs(): Frame[] {
    return this.socket.frames.filter(({ event }) => event === 'worker.run')
  }

  get contents(): string[] {
    return this.runs.map(({ payload }) => payload.event.payload.content)
  }

  /** The payload of the next run that was not taken yet; waits for it. */
  async next(): Promise<Frame['payload']> {
    const frame = await this.socket.next((frame) => frame.event === 'worker.run' && !this.#taken.has(frame))
    this.#taken.add(frame)
    return frame.payload
  }

  delta({ lease }: { lease: string }, text: string): void {
    this.socket.send({ type: 'event', id: `d-${lease}`, event: 'worker.delta', payload: { lease, text } })
  }

  report({ lease }: { lease: string }, report: object): void {
    this.socket.send({ type: 'event', id: `p-${lease}`, event: 'worker.report', payload: { lease, report } })
  }

  complete({ lease }: { lease: string }, content: string, rest: object = {}): Promise<unknown> {
    return this.socket.call('worker.complete', { lease, content, ...rest })
  }

  fail({ lease }: { lease: string }, error: object): Promise<unknown> {
    return this.socket.call('worker.fail', { lease, error })
  }

  cancelled({ lease }: { lease: string }): Promise<Frame> {
    return this.socket.event('worker.cancel', ({ payload }) => payload.lease === lease)
  }
}
