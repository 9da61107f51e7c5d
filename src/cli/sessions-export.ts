import { once } from 'node:events'
import { withNames } from './cli-error.js'
import { connect, createCliClient } from './connect.js'
import { EXIT, type ExitCode } from './exit-codes.js'
import { findTarget, type TargetOptions } from './target.js'

export interface ExportOptions extends TargetOptions {
  /** Seconds. */
  readonly timeout: number
}

/** `lurkbot sessions export KEY`: the session and its messages as JSON lines on standard output. */
export async function exportSession(sessionKey: string, options: ExportOptions): Promise<ExitCode> {
  const timeoutMs = options.timeout * 1000
  const target = await findTarget(options)
  const client = createCliClient(target, { reconnect: false, subscribe: [], connectTimeoutMs: timeoutMs })
  await connect(client, target)
  try {
    for (let cursor: string | undefined; ; ) {
      const page = (await client.request('sessions.export', { cursor }, { sessionKey, timeoutMs })) as {
        lines: string
        nextCursor: string | null
      }
      if (!process.stdout.write(page.lines)) await once(process.stdout, 'drain')
      if (page.nextCursor === null) return EXIT.OK
      cursor = page.nextCursor
    }
  } catch (error) {
    throw withNames(error, 'gateway call sessions.list')
  } finally {
    client.close()
  }
}
