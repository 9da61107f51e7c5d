import fp from 'fastify-plugin'
import { Audit } from '../src/auth/audit.js'
import { Devices } from '../src/auth/devices.js'
import { IssuedTokens } from '../src/auth/issued-tokens.js'
import { Usages } from '../src/auth/usage.js'
import type { Config } from '../src/config/schema.js'
import { EVENTS } from '../src/protocol/index.js'

declare module 'fastify' {
  interface FastifyInstance {
    tokens: IssuedTokens
    /** Null: devices are not let in by their keys. */
    devices: Devices | null
    audit: Audit
    usages: Usages
  }
}

/** Who may come besides the configured tokens, how much each may do, and what was done by whom: what the journal keeps of it. */
export default fp<{ config: Pick<Config, 'auth' | 'audit'> }>(
  async (app, { config }) => {
    const { auth, journal: documents, log } = app
    const { identities } = auth
    const { maxTokens, pairing } = config.auth
    const tokens = new IssuedTokens({ documents, identities, maxTokens, log })
    const tell = (event: string, payload: object) =>
      app.events.broadcast({
        event,
        sessionKey: null,
        at: Date.now(),
        payload: JSON.stringify(payload),
        seq: 0,
      })
    const devices = !pairing.enabled
      ? null
      : new Devices({
          documents,
          identities,
          config: pairing,
          log,
          onRequested: (pairing) => tell(EVENTS.pairingRequested.name, { pairing }),
          onResolved: (pairing, approved) => tell(EVENTS.pairingResolved.name, { pairing, approved }),
        })
    const audit = new Audit({ documents, ...config.audit, log })
    const usages = new Usages(config.auth.limits)
    await tokens.load()
    identities.addSource(tokens)
    if (devices !== null) {
      await devices.load()
      identities.addSource(devices)
    }
    if (config.auth.jwt !== undefined) {
      // Loaded only where it is configured.
      const { JwtSource } = await import('../src/auth/jwt.js')
      const jwt = new JwtSource(config.auth.jwt, { log })
      identities.addSource(jwt)
      app.addHook('onClose', async () => jwt.close())
    }
    auth.onFailed((address, where, connId) => audit.refusedLogin(address, where, 'UNAUTHORIZED', connId))
    app.decorate('tokens', tokens)
    app.decorate('devices', devices)
    app.decorate('audit', audit)
    app.decorate('usages', usages)
    app.addHook('onClose', async () => {
      tokens.close()
      await app.closing.step('audit', () => audit.flush())
    })

    const { instruments } = app.metrics
    instruments.counted(
      'gateway_principal_limited_total',
      'What was refused because a principal had its share.',
      ['limit'],
      (set) => {
        set({ limit: 'connections' }, usages.refused.connections)
        set({ limit: 'requests' }, usages.refused.requests)
        set({ limit: 'in_flight' }, usages.refused.inFlight)
      },
    )
    instruments.counted(
      'gateway_audit_entries_total',
      'Entries of the audit log, by what became of them.',
      ['outcome'],
      (set) => {
        set({ outcome: 'recorded' }, audit.stats.recorded)
        set({ outcome: 'left_out' }, audit.stats.leftOut)
        set({ outcome: 'failed' }, audit.stats.failed)
      },
    )
  },
  { name: 'identities', dependencies: ['closing', 'metrics', 'auth', 'journal', 'events'], fastify: '5.x' },
)
