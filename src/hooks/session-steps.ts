import type { StoredEntry } from '../journal/journal.js'
import { EVENTS, type SessionSummary } from '../protocol/index.js'
import type { Hooks } from './hooks.js'

const { sessionCreated, sessionUpdated, sessionEnded } = EVENTS

/** Tells the hooks what the journal has of a session’s steps. Most entries are none, and are not looked into. */
export function tellSessionStep(hooks: Hooks, { event, sessionKey, payload }: StoredEntry): void {
  if (sessionKey === null) return
  if (event === sessionCreated.name) {
    if (!hooks.has('session:created')) return
    const { session } = JSON.parse(payload) as { session: SessionSummary }
    hooks.emit({ name: 'session:created', sessionKey, session })
  } else if (event === sessionUpdated.name) {
    if (!hooks.has('session:updated') && !hooks.has('session:reset')) return
    const { session, reset } = JSON.parse(payload) as { session: SessionSummary; reset?: boolean }
    hooks.emit({ name: reset ? 'session:reset' : 'session:updated', sessionKey, session })
  } else if (event === sessionEnded.name) {
    if (!hooks.has('session:ended')) return
    const { reason } = JSON.parse(payload) as { reason: string }
    hooks.emit({ name: 'session:ended', sessionKey, reason })
  }
}
