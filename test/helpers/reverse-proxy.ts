import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import { type Certificate, createCertificate } from '../auth/certificates.js'
import { freePort } from './free-port.js'
import { ServerProgram } from './server-program.js'

const run = promisify(execFile)

/** The host name in the files of `deploy/`. */
export const PUBLIC_NAME = 'gateway.example'

/** Where a proxy of a test finds its things and listens. */
export interface Place {
  readonly folder: string
  readonly cert: string
  readonly key: string
  /** Certificate and key in one file. */
  readonly pem: string
  readonly httpPort: number
  readonly httpsPort: number
  readonly adminPort: number
  readonly gatewayPort: number
}

/** From what the shipped file says to what its copy in a test says. */
export type Changes = readonly (readonly [from: string, to: string])[]

/** One reverse proxy of the ones that `deploy/` has files for. */
export interface ProxyKind {
  readonly name: string
  /** Its files in `deploy/`: with a host of its own, and under a path. */
  readonly files: { readonly root: string; readonly path: string }
  /** How it cuts a WebSocket that says nothing for too long; null: it does not. */
  readonly idleTimeout: string | null
  /** Whether open WebSockets outlive a reload. */
  readonly keepsOnReload: boolean
  /** Whether it asks for readiness itself, and answers 503 while there is none. */
  readonly probes: boolean
  changes(place: Place): Changes
  /** Its file around the shipped one, if that is a part only. */
  main?(place: Place, shipped: string): string
  check(config: string, place: Place): [string, ...string[]]
  start(config: string, place: Place): [string, ...string[]]
  /** A signal or a command. */
  reload(config: string, place: Place): NodeJS.Signals | [string, ...string[]]
}

export class ReverseProxy {
  readonly #kind: ProxyKind
  readonly #place: Place
  readonly #changes: Changes
  readonly #program: ServerProgram
  readonly #config: string
  readonly certificate: Certificate

  /** In front of a gateway on `gatewayPort`; `changes` besides those of ports and certificates. Ends with the test. */
  static async start(
    t: Test,
    kind: ProxyKind,
    { gatewayPort, changes }: { gatewayPort: number; changes: Changes },
  ): Promise<ReverseProxy> {
    const folder = mkdtempSync(join(tmpdir(), `lurkbot-${kind.name}-`))
    const certificate = await createCertificate({ name: PUBLIC_NAME })
    const file = (name: string, text: string) => {
      writeFileSync(join(folder, name), text, { mode: 0o600 })
      return join(folder, name)
    }
    const proxy = new ReverseProxy(kind, certificate, changes, {
      folder,
      cert: file('cert.pem', certificate.cert),
      key: file('key.pem', certificate.key),
      pem: file('both.pem', `${certificate.cert}\n${certificate.key}`),
      httpPort: await freePort(),
      httpsPort: await freePort(),
      adminPort: await freePort(),
      gatewayPort,
    })
    t.teardown(async () => {
      await proxy.#program.stop()
      rmSync(folder, { recursive: true, force: true })
    })
    await proxy.#configure('root')
    await proxy.#program.start()
    return proxy
  }

  private constructor(kind: ProxyKind, certificate: Certificate, changes: Changes, place: Place) {
    this.#kind = kind
    this.#place = place
    this.#changes = changes
    this.certificate = certificate
    this.#config = join(place.folder, 'proxy.conf')
    this.#program = new ServerProgram(kind.start(this.#config, place), place.httpsPort)
  }

  get httpsPort(): number {
    return this.#place.httpsPort
  }

  get httpPort(): number {
    return this.#place.httpPort
  }

  /** The certificate's file. */
  get certFile(): string {
    return this.#place.cert
  }

  /** Reads another file of `deploy/`, as its `reload` does. */
  async reload(which: keyof ProxyKind['files']): Promise<void> {
    await this.#configure(which)
    const how = this.#kind.reload(this.#config, this.#place)
    if (typeof how === 'string') this.#program.signal(how)
    else await execute(how)
  }

  /** Writes the copy and has the proxy check it. */
  async #configure(which: keyof ProxyKind['files']): Promise<void> {
    const { files, main, check, changes } = this.#kind
    const shipped = join(this.#place.folder, files[which].split('/').at(-1)!)
    let text = readFileSync(join('deploy', files[which]), 'utf8')
    for (const [from, to] of [...changes(this.#place), ...this.#changes]) {
      if (!text.includes(from)) throw new Error(`deploy/${files[which]} does not say ${JSON.stringify(from)}`)
      text = text.replaceAll(from, to)
    }
    writeFileSync(shipped, text)
    writeFileSync(this.#config, main?.(this.#place, shipped) ?? text)
    await execute(check(this.#config, this.#place))
  }
}

async function execute([program, ...args]: [string, ...string[]]): Promise<void> {
  try {
    await run(program, args)
  } catch (error) {
    const { code, message } = error as { code: string | number; message: string }
    // The latter by `env`.
    if (code === 'ENOENT' || code === 127)
      throw new Error(`${program} does not run: is it installed? (DEBIAN_PACKAGES in .ci/run)`)
    throw new Error(`${message}\n${(error as { stderr?: string }).stderr}`)
  }
}
