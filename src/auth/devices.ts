import type { Documents } from '../journal/documents.js'
import { newPairingId } from '../journal/ids.js'
import type { Log } from '../log.js'
import { GatewayError } from '../protocol/errors.js'
import type { ClientInfo } from '../protocol/frames.js'
import type { Device } from '../protocol/identity.js'
import type { DevicePairing } from '../protocol/pairing.js'
import { Turns } from '../sessions/turns.js'
import { FailedAttempts } from './attempts.js'
import { deviceIdOf } from './device-key.js'
import { digestKey, newSecret } from './digest.js'
import type { CredentialSource, Identities } from './identities.js'
import { newPairingCode, normalPairingCode } from './pairing-code.js'
import type { Principal } from './principal.js'
import { covers, principalWith, type Rights } from './rights.js'
import { notFound, notPaired, type StoredDevice, toDevice, toPairing } from './stored-device.js'

const KIND = 'device'
const PAGE = 200
/** Addresses whose requests are counted. */
const MAX_ADDRESSES = 10_000
/** How exactly it is known when a device came last; ms. Each time would be a write otherwise. */
const SEEN_GRANULARITY_MS = 3_600_000

interface Row {
  device: StoredDevice
  /** Who comes with the key, and who with the token: either may end alone. Null: not let in; no token. */
  byKey: Principal | null
  byToken: Principal | null
}

export interface DevicesOptions {
  readonly documents: Documents
  readonly identities: Identities
  readonly config: {
    readonly requestTtlMs: number
    readonly maxPending: number
    readonly maxPerAddress: number
    readonly maxDevices: number
  }
  readonly log: Log
  readonly onRequested: (pairing: DevicePairing) => void
  readonly onResolved: (pairing: DevicePairing, approved: boolean) => void
  /** Milliseconds since 1970. */
  readonly now?: () => number
}

/** A device that has proved that it has the key. */
export interface ProvenDevice {
  readonly publicKey: string
  readonly client: ClientInfo
  readonly address: string
  /** It asks for a token of its own, in place of the one that it may have. */
  readonly wantsToken: boolean
}

/** Names a request by its id or its code. */
export interface RequestChoice {
  readonly requestId?: string
  readonly code?: string
}

/** Devices with a key of their own (spec §5): in memory to be asked for, in the journal to stay. */
export class Devices implements CredentialSource {
  readonly #options: DevicesOptions
  readonly #now: () => number
  readonly #rows = new Map<string, Row>()
  readonly #byToken = new Map<string, Row>()
  readonly #changes = new Turns()
  readonly #requests: FailedAttempts

  constructor(options: DevicesOptions) {
    const { maxPerAddress: max, requestTtlMs: windowMs } = options.config
    this.#options = options
    this.#now = options.now ?? Date.now
    this.#requests = new FailedAttempts({ max, windowMs, maxAddresses: MAX_ADDRESSES })
  }

  /** Reads who is known, before the first connection. */
  async load(): Promise<void> {
    const { documents } = this.#options
    let before: { at: number; id: string } | undefined
    do {
      const page = await documents.documents({ kind: KIND, limit: PAGE, before })
      for (const { body } of page) this.#put(JSON.parse(body) as StoredDevice)
      before = page.length < PAGE ? undefined : page.at(-1)
    } while (before !== undefined)
  }

  /** Whose token this is. */
  authenticate(secret: string): Principal | null {
    if (this.#byToken.size === 0) return null
    const row = this.#byToken.get(digestKey(secret))
    if (row === undefined) return null
    this.#noteSeen(row)
    return row.byToken
  }

  /**
   * Lets a known device in, with a token of its own when it asks for one or never had one; notes an unknown one.
   * @throws `NOT_PAIRED` with `requestId`, `deviceId` and `code`; `RATE_LIMITED` when too many ask.
   */
  admit(proven: ProvenDevice): Promise<{ principal: Principal; deviceToken: string | null }> {
    const deviceId = deviceIdOf(proven.publicKey)
    return this.#changes.take(deviceId, async () => {
      const row = this.#rows.get(deviceId)
      const principal = row?.byKey
      if (row === undefined || !principal) throw notPaired(await this.#request(deviceId, proven))
      this.#noteSeen(row)
      if (!proven.wantsToken && row.device.tokenDigest !== null) return { principal, deviceToken: null }
      const deviceToken = newSecret('lbd')
      await this.#save({ ...row.device, tokenDigest: digestKey(deviceToken) })
      return { principal, deviceToken }
    })
  }

  /** Requests that wait for an answer, oldest first. */
  pending(): DevicePairing[] {
    return this.#waiting()
      .sort((a, b) => a.requestedAt - b.requestedAt)
      .map(toPairing)
  }

  /** Devices that were let in, as far as they have no more rights than `by`. */
  list(by: Principal, connectionsOf: (principals: ReadonlySet<Principal>) => number): Device[] {
    return [...this.#rows.values()]
      .filter(({ device: { approval } }) => approval !== null && covers(by, approval.rights))
      .map(({ device, byKey, byToken }) => {
        const principals = new Set([byKey, byToken].filter((principal) => principal !== null))
        return toDevice(device, connectionsOf(principals))
      })
  }

  /** The request of a device, waiting or approved; null: there is none. */
  find({ requestId, code }: RequestChoice): { deviceId: string; pairing: DevicePairing } | null {
    const wanted = code === undefined ? undefined : normalPairingCode(code)
    for (const { device } of this.#rows.values()) {
      const isMeant = wanted === undefined ? device.requestId === requestId : this.#isCode(device, wanted)
      if (isMeant && (device.approval !== null || device.expiresAt > this.#now())) {
        return { deviceId: device.deviceId, pairing: toPairing(device) }
      }
    }
    return null
  }

  /** Lets a device in. @throws `NOT_FOUND`, `CONFLICT` when it was let in before, `UNAVAILABLE`. */
  approve(deviceId: string, rights: Rights, name: string | undefined, by: Principal): Promise<DevicePairing> {
    return this.#changes.take(deviceId, async () => {
      const { config, log, onResolved } = this.#options
      const now = this.#now()
      const device = this.#rows.get(deviceId)?.device
      if (device === undefined || (device.approval === null && device.expiresAt <= now)) throw notFound()
      if (device.approval !== null) {
        throw new GatewayError('CONFLICT', 'The device was let in before; devices.revoke shuts it out.')
      }
      const approved = [...this.#rows.values()].filter((row) => row.device.approval !== null).length
      if (approved >= config.maxDevices) {
        const message = `There are ${config.maxDevices} devices already (auth.pairing.maxDevices).`
        throw new GatewayError('UNAVAILABLE', message, { retryable: false })
      }
      const approval = { at: now, by: by.name, rights }
      const saved = { ...device, name: name ?? device.name, approval }
      await this.#save(saved)
      log.info({ deviceId, by: by.name }, 'a device was let in')
      const pairing = toPairing(saved)
      onResolved(pairing, true)
      return pairing
    })
  }

  /**
   * Refuses a device, or shuts one out that was let in: its connections end.
   * @throws `NOT_FOUND`, `FORBIDDEN` for one with more rights than `by` has.
   */
  remove(deviceId: string, by: Principal): Promise<void> {
    return this.#changes.take(deviceId, async () => {
      const row = this.#rows.get(deviceId)
      if (row === undefined) throw notFound()
      const { approval } = row.device
      if (approval !== null && !covers(by, approval.rights)) {
        throw new GatewayError('FORBIDDEN', 'That device has rights which these credentials do not have.')
      }
      await this.#options.documents.removeDocument(KIND, deviceId)
      this.#drop(row)
      this.#options.log.info({ deviceId, by: by.name }, 'a device was refused')
      this.#options.onResolved(toPairing(row.device), false)
    })
  }

  isApproved(deviceId: string): boolean {
    return (this.#rows.get(deviceId)?.device.approval ?? null) !== null
  }

  /** Notes who asks, or finds that it asked before. @throws `RATE_LIMITED`. */
  async #request(deviceId: string, { publicKey, client, address }: ProvenDevice): Promise<StoredDevice> {
    const { config, log, onRequested } = this.#options
    const now = this.#now()
    const before = this.#rows.get(deviceId)?.device
    if (before !== undefined && before.expiresAt > now) return before
    this.#forgetExpired(now)
    const waitMs = this.#requests.isBlocked(address)
    const waiting = this.#waiting()
    if (waitMs > 0 || waiting.length >= config.maxPending) {
      const retryAfterMs = waitMs || config.requestTtlMs
      throw new GatewayError('RATE_LIMITED', 'Too many devices ask to be let in.', { retryAfterMs })
    }
    this.#requests.failed(address)
    const device: StoredDevice = {
      deviceId,
      requestId: newPairingId(),
      publicKey,
      name: client.displayName ?? client.id,
      clientId: client.id,
      platform: client.platform,
      address,
      code: newPairingCode(new Set(waiting.map(({ code }) => code))),
      requestedAt: now,
      expiresAt: now + config.requestTtlMs,
      approval: null,
      tokenDigest: null,
      lastSeenAt: null,
    }
    // At once, so that others that ask meanwhile find it counted.
    this.#put(device)
    try {
      await this.#save(device)
    } catch (error) {
      this.#rows.delete(deviceId)
      throw error
    }
    log.info({ deviceId, address }, 'a device asks to be paired')
    onRequested(toPairing(device))
    return device
  }

  #waiting(): StoredDevice[] {
    const now = this.#now()
    return [...this.#rows.values()]
      .map(({ device }) => device)
      .filter(({ approval, expiresAt }) => approval === null && expiresAt > now)
  }

  /** The journal forgets them by itself. */
  #forgetExpired(now: number): void {
    for (const [deviceId, { device }] of this.#rows) {
      if (device.approval === null && device.expiresAt <= now) this.#rows.delete(deviceId)
    }
  }

  #isCode({ code, approval }: StoredDevice, wanted: string): boolean {
    return approval === null && code === wanted
  }

  async #save(device: StoredDevice): Promise<void> {
    const { deviceId: id, requestedAt: at, approval, expiresAt } = device
    const record = { kind: KIND, id, subject: null, at, expiresAt: approval === null ? expiresAt : null }
    await this.#options.documents.saveDocuments([{ ...record, body: JSON.stringify(device) }])
    this.#put(device)
  }

  /** Takes a device as it is now; a token that it has no longer ends. */
  #put(device: StoredDevice): void {
    const { deviceId, approval, tokenDigest } = device
    const row: Row = this.#rows.get(deviceId) ?? { device, byKey: null, byToken: null }
    const hadToken = row.device.tokenDigest
    row.device = device
    this.#rows.set(deviceId, row)
    if (approval === null) return
    const principal = () => principalWith(`device:${deviceId}`, approval.rights)
    row.byKey ??= principal()
    if (tokenDigest === hadToken && row.byToken !== null) return
    if (hadToken !== null) this.#byToken.delete(hadToken)
    const replaced = row.byToken
    row.byToken = tokenDigest === null ? null : principal()
    if (tokenDigest !== null) this.#byToken.set(tokenDigest, row)
    if (replaced !== null) this.#options.identities.end([replaced], 'revoked')
  }

  #drop({ device, byKey, byToken }: Row): void {
    this.#rows.delete(device.deviceId)
    if (device.tokenDigest !== null) this.#byToken.delete(device.tokenDigest)
    const principals = [byKey, byToken].filter((principal) => principal !== null)
    this.#options.identities.end(principals, 'revoked')
  }

  /** Nobody waits for it, and nothing depends on it. */
  #noteSeen(row: Row): void {
    const now = this.#now()
    if (now - (row.device.lastSeenAt ?? 0) < SEEN_GRANULARITY_MS) return
    row.device = { ...row.device, lastSeenAt: now }
    const { deviceId } = row.device
    const noted = this.#changes.take(deviceId, async () => {
      // Shut out meanwhile: it must not come back.
      if (this.#rows.get(deviceId) === row) await this.#save(row.device)
    })
    noted.catch((err: unknown) => {
      this.#options.log.warn({ err, deviceId }, 'it could not be noted when a device came')
    })
  }
}
