import { createHash, createHmac, pbkdf2, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'

const derive = promisify(pbkdf2)

/** What a server may have us compute takes about a second. */
const MAX_ITERATIONS = 1_000_000

/** A SASL mechanism as @xmpp/client knows them. Its texts are bytes, each a character, as `btoa` wants them. */
export interface Mechanism {
  readonly name: string
  readonly clientFirst: boolean
  response(credentials: { readonly username: string; readonly password: string }): string | Promise<string>
  challenge(text: string): void
}

/**
 * SCRAM (RFC 5802, RFC 7677) without channel binding. The library's own derives the key by ten thousand tasks for the thread
 * pool, which keeps the journal's waiting for seconds, and knows SHA-1 only.
 */
export function scram(hash: 'sha256' | 'sha1') {
  const name = hash === 'sha256' ? 'SCRAM-SHA-256' : 'SCRAM-SHA-1'
  const digest = (data: Buffer) => createHash(hash).update(data).digest()
  const hmac = (key: Buffer, text: string) => createHmac(hash, key).update(text, 'latin1').digest()

  return class ScramMechanism implements Mechanism {
    readonly name = name
    readonly clientFirst = true
    readonly #nonce = randomBytes(18).toString('base64')
    #first = ''
    #challenge = ''

    async response({ username, password }: { username: string; password: string }): Promise<string> {
      if (this.#challenge === '') {
        const saslName = toBytes(username.replaceAll('=', '=3D').replaceAll(',', '=2C'))
        this.#first = `n=${saslName},r=${this.#nonce}`
        return `n,,${this.#first}`
      }
      const { nonce, salt, iterations } = this.#parse()
      const final = `c=biws,r=${nonce}`
      const size = digest(Buffer.alloc(0)).length
      const salted = await derive(password.normalize('NFKC'), salt, iterations, size, hash)
      const clientKey = hmac(salted, 'Client Key')
      const signature = hmac(digest(clientKey), `${this.#first},${this.#challenge},${final}`)
      const proof = Buffer.from(clientKey.map((byte, index) => byte ^ signature[index]!))
      return `${final},p=${proof.toString('base64')}`
    }

    challenge(text: string): void {
      this.#challenge = text
    }

    #parse(): { nonce: string; salt: Buffer; iterations: number } {
      const [, nonce, salt, count] = /^r=([^,]+),s=([^,]+),i=(\d+)/.exec(this.#challenge) ?? []
      const iterations = Number(count)
      if (!nonce?.startsWith(this.#nonce) || !(iterations > 0 && iterations <= MAX_ITERATIONS)) {
        throw new Error('a SCRAM challenge that cannot be answered')
      }
      return { nonce, salt: Buffer.from(salt!, 'base64'), iterations }
    }
  }
}

/** UTF-8, each byte a character. */
export function toBytes(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}
