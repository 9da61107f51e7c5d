/** A journal that cannot be opened. The message names the path, what is wrong and what to do; nothing was changed. */
export class JournalError extends Error {
  override readonly name = 'JournalError'
  readonly path: string

  constructor(path: string, problem: string, remedy: string, options?: ErrorOptions) {
    super(`Journal ${path}: ${problem}. ${remedy}`, options)
    this.path = path
  }
}
