import { join } from 'node:path'

export interface LogPaths {
  readonly folder: string
  /** JSON lines. Those that were set aside are beside it: `gateway.log.1` is the newest. */
  readonly file: string
  /** What a gateway in the background says outside its log. */
  readonly errorFile: string
}

export function logPaths(home: string): LogPaths {
  const folder = join(home, 'logs')
  return { folder, file: join(folder, 'gateway.log'), errorFile: join(folder, 'gateway.err.log') }
}
