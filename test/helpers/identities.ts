import { generateKeyPairSync, sign } from 'node:crypto'
import { deviceProof } from '../../src/protocol/index.js'
import type { RunningApp } from './app.js'
import type { Frame, TestSocket } from './socket.js'

/** A token that may do everything, for `auth.tokens`. */
export const ROOT = 'root-token-of-the-tests'

export const asRoot = { auth: { token: ROOT } }

/** A device with a key, as a client of another language would have it: nothing of `src/client` is used. */
export class TestDevice {
  readonly publicKey: string
  readonly #privateKey

  constructor() {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519')
    this.publicKey = publicKey.export({ format: 'jwk' }).x!
    this.#privateKey = privateKey
  }

  sign(challenge: Frame, clientId = 'test'): string {
    const { nonce, epoch } = challenge as unknown as { nonce: string; epoch: string }
    return sign(null, deviceProof({ nonce, epoch }, this.publicKey, clientId), this.#privateKey).toString(
      'base64url',
    )
  }

  /** Says hello with the key and answers the challenge; `answer` is what came of it. */
  async connect(
    { open }: Pick<RunningApp, 'open'>,
    device: Record<string, unknown> = {},
  ): Promise<{ socket: TestSocket; answer: Frame }> {
    const socket = await open()
    const hello = socket.hello({ auth: { device: { publicKey: this.publicKey, ...device } } })
    const challenge = await socket.next(({ type }) => type === 'hello-challenge')
    socket.send({ type: 'hello-proof', signature: this.sign(challenge) })
    return { socket, answer: await hello }
  }
}
