import { randomUUID } from 'node:crypto'
import { jid, xml } from '@xmpp/client'
import type { IncomingMessage, OutgoingPart } from '../connector.js'
import { findMention } from '../mention.js'

export type Stanza = ReturnType<typeof xml>

const NS_CHAT_STATES = 'http://jabber.org/protocol/chatstates'
const NS_DELAY = 'urn:xmpp:delay'
const NS_MUC = 'http://jabber.org/protocol/muc'
const NS_PING = 'urn:xmpp:ping'
const NS_STANZA_ID = 'urn:xmpp:sid:0'

/** What XML cannot hold (XML 1.0 §2.2), not even escaped. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters that it cannot hold.
const NOT_XML = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g

/** What is known of the other side when a message comes. */
export interface Surroundings {
  /** Our own bare JID. */
  readonly self: string
  /** Our nick in a room; undefined: it is none of our rooms. */
  readonly nickIn: (room: string) => string | undefined
  /** The bare JID behind an occupant, where the room tells. */
  readonly realJid: (occupant: string) => string | undefined
}

/** Null: it is none that someone has written to us now, such as an echo, a typing notification or a room's history. */
export function toIncoming(stanza: Stanza, surroundings: Surroundings): IncomingMessage | null {
  const { from, type = 'normal' } = stanza.attrs as { from?: string; type?: string }
  const text = stanza.getChildText('body')
  if (from === undefined || text === null || text === '') return null
  const sender = jid(from)
  const bare = sender.bare().toString()
  const nick = surroundings.nickIn(bare)
  const sentAt = Date.parse(stanza.getChild('delay', NS_DELAY)?.attrs.stamp)
  const common = {
    thread: null,
    id: idOf(stanza, nick === undefined ? surroundings.self : bare),
    ...(Number.isNaN(sentAt) ? {} : { at: sentAt }),
    metadata: { from },
  }
  if (type === 'groupchat') {
    if (nick === undefined || sender.resource === '' || sender.resource === nick) return null
    // What was said before we came was not said to us.
    if (!Number.isNaN(sentAt)) return null
    const id = surroundings.realJid(sender.toString()) ?? sender.toString()
    return {
      ...common,
      peer: bare,
      sender: { id, name: sender.resource },
      group: true,
      ...findMention(text, nick),
    }
  }
  if ((type !== 'chat' && type !== 'normal') || bare === surroundings.self) return null
  // Said to us alone by someone in a room: the answer must not go to the whole room (XEP-0045 §7.5).
  const peer = nick === undefined ? bare : sender.toString()
  const name = nick === undefined ? sender.local : sender.resource
  return { ...common, peer, sender: { id: peer, name }, group: false, mentioned: false, text }
}

/** The id that whoever archives the message gave it (XEP-0359), which nobody else can choose; else its sender's. */
function idOf(stanza: Stanza, archive: string): string {
  const stanzaId = stanza.getChildren('stanza-id', NS_STANZA_ID).find(({ attrs }) => attrs.by === archive)
  const originId = stanza.getChild('origin-id', NS_STANZA_ID)
  return stanzaId?.attrs.id || originId?.attrs.id || stanza.attrs.id || randomUUID()
}

/** The room's id of our own message that it sends back. */
export function reflectionId(stanza: Stanza): string {
  const room = jid(stanza.attrs.from).bare().toString()
  return idOf(stanza, room)
}

export function messageTo(
  to: string,
  isRoom: boolean,
  { text, attachments, idempotencyKey }: OutgoingPart,
): Stanza {
  const urls = attachments.flatMap(({ url }) => (url ? [url] : []))
  const body = [...(text === '' ? [] : [text]), ...urls].join('\n').replace(NOT_XML, '')
  return xml(
    'message',
    { to, type: isRoom ? 'groupchat' : 'chat', id: idempotencyKey },
    xml('body', {}, body),
    xml('origin-id', { xmlns: NS_STANZA_ID, id: idempotencyKey }),
    xml('active', { xmlns: NS_CHAT_STATES }),
  )
}

/** XEP-0085. */
export function composing(to: string, isRoom: boolean): Stanza {
  const type = isRoom ? 'groupchat' : 'chat'
  return xml('message', { to, type }, xml('composing', { xmlns: NS_CHAT_STATES }))
}

/** XEP-0199. Whoever does not know it answers with an error, which is as good. */
export function ping(to: string, id: string): Stanza {
  return xml('iq', { to, id, type: 'get' }, xml('ping', { xmlns: NS_PING }))
}

/** Asks for no history: it was not said to us. */
export function joinRoom(occupant: string, password: string | undefined): Stanza {
  return xml(
    'presence',
    { to: occupant },
    xml(
      'x',
      { xmlns: NS_MUC },
      xml('history', { maxstanzas: '0' }),
      ...(password === undefined ? [] : [xml('password', {}, password)]),
    ),
  )
}

/** Opens a room that our coming has made, with its server's defaults (XEP-0045 §10.1.2). */
export function unlockRoom(room: string, id: string): Stanza {
  return xml(
    'iq',
    { to: room, id, type: 'set' },
    xml('query', { xmlns: `${NS_MUC}#owner` }, xml('x', { xmlns: 'jabber:x:data', type: 'submit' })),
  )
}

/** What a room says with a presence: its status codes and who the occupant is (XEP-0045 §7.2). */
export function occupantOf(presence: Stanza): { codes: Set<string>; realJid: string | undefined } {
  const details = presence.getChild('x', `${NS_MUC}#user`)
  const codes = (details?.getChildren('status') ?? []).map(({ attrs }) => String(attrs.code))
  const real = details?.getChild('item')?.attrs.jid
  return { codes: new Set(codes), realJid: real === undefined ? undefined : jid(real).bare().toString() }
}
