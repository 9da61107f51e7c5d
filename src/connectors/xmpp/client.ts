import { type Client, client as createXmppClient, jid, xml } from '@xmpp/client'
import { GatewayError } from '../../protocol/errors.js'
import { NS_ACKS } from './acks.js'
import { scram, toBytes } from './scram.js'
import { type Address, XmppSocket } from './socket.js'

/** How long the library waits for a step of the handshake. The gateway has a limit for all of them. */
const STEP_TIMEOUT_MS = 15_000

/** A client of @xmpp/client that connects once, by our socket, and speaks of the newer extensions none that we do not want. */
export function createClient(
  account: string,
  password: string,
  resource: string,
  address: Address,
  onAckRequest: () => void,
): { client: Client; offersAcks: () => boolean } {
  const username = jid(account).local
  const client = createXmppClient({
    service: `xmpp://${address.domain}`,
    domain: address.domain,
    credentials: async (authenticate, mechanisms, _fast, entity) => {
      const mechanism = mechanisms.find((name) => name !== 'PLAIN' || entity.isSecure())
      if (mechanism === undefined) {
        throw new GatewayError('UNAUTHORIZED', 'The XMPP server offers no login that keeps the password.')
      }
      const encode = mechanism === 'PLAIN' ? toBytes : (text: string) => text
      const credentials = { username: encode(username), password: encode(password) }
      await authenticate(credentials, mechanism, xml('user-agent'))
    },
    resource,
    timeout: STEP_TIMEOUT_MS,
  })
  client.reconnect.stop()
  useScram(client)
  useSocket(client, address)
  let offersAcks = false
  // The library's own XEP-0198 resumes, which nobody here does, acknowledges what is not on disk yet, and more than it was
  // sent, which servers end the connection for. SASL2 would bring it back, and it answers even where it is not enabled.
  client.prependListener('element', (element) => {
    if (element.is('features', 'http://etherx.jabber.org/streams')) {
      offersAcks ||= element.getChild('sm', NS_ACKS) !== undefined
      element.remove('sm', NS_ACKS)
      element.remove('authentication', 'urn:xmpp:sasl:2')
    } else if (element.is('r', NS_ACKS)) {
      element.name = 'answered'
      onAckRequest()
    }
  })
  return { client, offersAcks: () => offersAcks }
}

/** The library offers what it has in the order of this list. */
function useScram(client: Client): void {
  const { saslFactory } = client as unknown as { saslFactory: { _mechs: { name: string; mech: unknown }[] } }
  saslFactory._mechs.unshift(
    { name: 'SCRAM-SHA-256', mech: scram('sha256') },
    { name: 'SCRAM-SHA-1', mech: scram('sha1') },
  )
}

/** The library looks for its sockets and addresses in the prototypes of its transports. */
function useSocket(client: Client, address: Address): void {
  const overTcp = client.transports.find(
    ({ prototype }) => prototype.socketParameters(`xmpp://${address.domain}`) !== undefined,
  )!
  const prototype = Object.create(overTcp.prototype, {
    Socket: { value: XmppSocket },
    socketParameters: { value: () => address },
  })
  client.transports.splice(0, client.transports.length, { prototype } as typeof overTcp)
  const { connect } = client
  let hasConnected = false
  // A server that sends us elsewhere (`see-other-host`) would have the library open a connection that nobody closes.
  client.connect = async (service) => {
    if (hasConnected) throw new Error('connected already')
    hasConnected = true
    await connect.call(client, service)
  }
}
