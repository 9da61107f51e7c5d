import type { Static, TObject, TSchema } from '@sinclair/typebox'

export const SCOPES = ['read', 'write', 'admin', 'agent'] as const
export type Scope = (typeof SCOPES)[number]

/** What a method does, may be called by, takes and gives: the one place where its shape is written (spec §2). */
export interface Contract<P extends TSchema = TSchema, R extends TSchema = TSchema> {
  readonly name: string
  readonly summary: string
  /** The scope that a caller needs; null: any caller whose hello was accepted. */
  readonly scope: Scope | null
  /** Whether the request names a session: `required`, `optional` (checked when given) or `none` (ignored). */
  readonly session: 'required' | 'optional' | 'none'
  /** Its result may be large: the requests of one connection for such are handled one after the other. */
  readonly large?: boolean
  /** It controls rather than converses: calls go into the audit log, as those of every method with the scope `admin` do. */
  readonly audited?: boolean
  readonly params: P
  readonly result: R
}

export type ParamsOf<C> = C extends Contract<infer P, TSchema> ? Static<P> : never
export type ResultOf<C> = C extends Contract<TSchema, infer R> ? Static<R> : never

const NAME = /^[a-z][a-zA-Z]*\.[a-z][a-zA-Z]*$/

/** Defines a method. `session` defaults to `none`. */
export function contract<P extends TObject, R extends TSchema>(
  definition: Omit<Contract<P, R>, 'session'> & { readonly session?: Contract['session'] },
): Contract<P, R> {
  if (!NAME.test(definition.name)) {
    throw new TypeError(`method name '${definition.name}': expected family.verb, such as sessions.send`)
  }
  return Object.freeze({ session: 'none' as const, ...definition })
}
