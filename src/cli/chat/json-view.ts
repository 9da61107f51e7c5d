import type { ErrorShape } from '../../protocol/errors.js'
import type { Message } from '../../protocol/events.js'
import { PlainView } from './plain-view.js'

/** For programs: a line of JSON for each run that ends; the rest as in any pipe. */
export class JsonView extends PlainView {
  readonly #sessionKey: string
  readonly #lines: NodeJS.WritableStream

  constructor(output: NodeJS.WritableStream, log: NodeJS.WritableStream, sessionKey: string) {
    super(output, log)
    this.#lines = output
    this.#sessionKey = sessionKey
  }

  override answered(message: Message | null, runId: string): void {
    const { agent = null, messageId = null, content = null } = message ?? {}
    this.#line(runId, 'completed', { content, agent, messageId, error: null })
  }

  override failed(error: ErrorShape, runId: string | null): void {
    super.failed(error, runId)
    // Without a run it is what was typed that failed.
    if (runId !== null) this.#line(runId, 'failed', { content: null, agent: null, messageId: null, error })
  }

  override aborted(reason: string, waiting: boolean, runId: string): void {
    super.aborted(reason, waiting, runId)
    const message = reason || 'the run was aborted'
    const error: ErrorShape = { code: 'CANCELLED', message, details: null, retryable: false }
    this.#line(runId, 'aborted', { content: null, agent: null, messageId: null, error })
  }

  #line(runId: string, outcome: string, fields: object): void {
    const { content, ...rest } = fields as { content: string | null }
    const line = { runId, sessionKey: this.#sessionKey, outcome, content, ...rest }
    this.#lines.write(`${JSON.stringify(line)}\n`)
  }
}
