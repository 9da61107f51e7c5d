import { deviceProof } from '../protocol/device-proof.js'
import type { HelloChallengeFrame, HelloProofFrame } from '../protocol/frames.js'

/** The Ed25519 key of a device, which comes in place of a token. */
export interface DeviceKey {
  /** 32 bytes, base64url. */
  readonly publicKey: string
  sign(data: Uint8Array): Promise<Uint8Array>
}

/** A pair of keys of WebCrypto's, for `Ed25519`. Its private key need not be extractable. */
export interface WebKeyPair {
  readonly publicKey: object
  readonly privateKey: object
}

/** The part of WebCrypto that is used; a page has it over https and on loopback. */
interface SubtleCrypto {
  generateKey(algorithm: 'Ed25519', extractable: boolean, usages: string[]): Promise<WebKeyPair>
  exportKey(format: 'raw', key: object): Promise<ArrayBuffer>
  sign(algorithm: 'Ed25519', key: object, data: Uint8Array): Promise<ArrayBuffer>
}

const subtle = (): SubtleCrypto =>
  (globalThis as unknown as { crypto: { subtle: SubtleCrypto } }).crypto.subtle

/** A new pair whose private key cannot leave the browser; keep the pair in IndexedDB. */
export function createWebKeyPair(): Promise<WebKeyPair> {
  return subtle().generateKey('Ed25519', false, ['sign', 'verify'])
}

export async function webDeviceKey({ publicKey, privateKey }: WebKeyPair): Promise<DeviceKey> {
  return {
    publicKey: toBase64Url(new Uint8Array(await subtle().exportKey('raw', publicKey))),
    sign: async (data) => new Uint8Array(await subtle().sign('Ed25519', privateKey, data)),
  }
}

/** The answer to a challenge. */
export async function prove(
  key: DeviceKey,
  clientId: string,
  challenge: HelloChallengeFrame,
): Promise<HelloProofFrame> {
  const signature = await key.sign(deviceProof(challenge, key.publicKey, clientId))
  return { type: 'hello-proof', signature: toBase64Url(signature) }
}

function toBase64Url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replace(/=+$/, '')
}
