/** Entries under `connectors:` for servers of the tests, which do without TLS and without patience. */

export const ircAt = ({ port }: { readonly port: number }, further: object = {}) => ({
  type: 'irc',
  host: '127.0.0.1',
  port,
  tls: false,
  nick: 'lurk',
  allow: ['*'],
  messagesPerSecond: 100,
  burst: 100,
  rejoinDelayMs: 20,
  ...further,
})

/** The accounts of the XMPP server; `lurk` is the gateway's. */
export const USERS = { lurk: 'lurk-secret', alice: 'alice-secret', bob: 'bob-secret' }
export const LURK = 'lurk@localhost'
export const ALICE = 'alice@localhost'
export const ROOM = 'team@conference.localhost'

export const xmppAt = ({ service }: { readonly service: string }, further: object = {}) => ({
  type: 'xmpp',
  jid: LURK,
  password: USERS.lurk,
  service,
  allowInsecure: true,
  allow: ['*'],
  rejoinDelayMs: 20,
  ...further,
})
