/** What the core logs with: pino's shape, fields first, a constant message. */
export interface Log {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
  /** A log whose lines have these fields as well. */
  child?(fields: object): Log
}
