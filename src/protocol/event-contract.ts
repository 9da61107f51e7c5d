import type { TObject } from '@sinclair/typebox'
import type { Scope } from './contract.js'

/** An event that the gateway sends. */
export interface EventContract<P extends TObject = TObject> {
  readonly name: string
  readonly summary: string
  /** Durable events are in the journal, carry a `seq` and are replayed on resume. */
  readonly durable: boolean
  /** The scope that a receiver needs; null: everyone. */
  readonly scope: Scope | null
  /** Whether it belongs to a session, so that session-key patterns decide who sees it. */
  readonly session: boolean
  readonly payload: P
}

export const event = <N extends string, P extends TObject>(
  definition: EventContract<P> & { readonly name: N },
) => Object.freeze(definition)
