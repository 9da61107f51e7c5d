/**
 * - `index`, `search`, `space`: what can be made anew from the tables, of which nothing is lost
 * - `data`: a table itself, or something that nobody can tell
 * - `foreign`: no journal of this program, or one of a newer version
 * - `access`: it cannot be read now
 */
export type ProblemKind = 'index' | 'search' | 'space' | 'data' | 'foreign' | 'access'

export interface JournalProblem {
  readonly kind: ProblemKind
  readonly message: string
}

/** Whether everything that is wrong can be made anew from tables that are whole. */
export const canRebuild = (problems: readonly JournalProblem[]): boolean =>
  problems.every(({ kind }) => kind === 'index' || kind === 'search' || kind === 'space')
