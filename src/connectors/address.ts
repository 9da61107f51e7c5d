import { GatewayError } from '../protocol/errors.js'
import { SESSION_KEY_MAX_LENGTH } from '../protocol/primitives.js'
import type { Target } from './connector.js'

/** The last segment of a session key that is no thread's. */
const MAIN = 'main'

/** What separates or escapes segments, and what session keys cannot hold. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters that a key must not have.
const ESCAPED = /[%:\s\u0000-\u001f\u007f]/g

/** UTF-8 has none. */
const LONE_SURROGATE = /\p{Surrogate}/gu

/**
 * The session of a conversation: `telegram:123456789:main`, or `slack:C024BE91L:1700000000.000100` for a thread.
 * @throws `INVALID_REQUEST` for a peer whose name is too long for a key.
 */
export function sessionKeyOf(channel: string, { peer, thread }: Target): string {
  // A thread that is called `main` stays apart from no thread.
  const last = thread === null ? MAIN : thread === MAIN ? '%6Dain' : segment(thread)
  const key = `${channel}:${segment(peer)}:${last}`
  if (key.length <= SESSION_KEY_MAX_LENGTH) return key
  throw new GatewayError('INVALID_REQUEST', 'The name of this conversation is too long for a session key.')
}

/**
 * Null: the key is of no conversation of a channel. Another spelling of a key (`%31` for `1`) is another session, and whoever
 * is confined to that one has nothing to say in this conversation.
 */
export function targetOf(sessionKey: string): (Target & { readonly channel: string }) | null {
  const [channel, peer, thread, ...rest] = sessionKey.split(':')
  if (!channel || !peer || !thread || rest.length > 0) return null
  try {
    const target = {
      channel,
      peer: decodeURIComponent(peer),
      thread: thread === MAIN ? null : decodeURIComponent(thread),
    }
    return sessionKeyOf(channel, target) === sessionKey ? target : null
  } catch {
    return null
  }
}

function segment(text: string): string {
  return text.replace(LONE_SURROGATE, '\ufffd').replace(ESCAPED, encodeURIComponent)
}
