import type { GatewayError } from '../protocol/errors.js'
import { PROTOCOL_VERSION } from '../protocol/primitives.js'
import { CliError } from './cli-error.js'
import { EXIT, type ExitCode } from './exit-codes.js'
import { nextCommand, nextCommands } from './next-command.js'
import type { Target } from './target.js'

const look = () =>
  nextCommands([['gateway status', 'says where the gateway of this state folder is, and how']])

/** Why there is no connection (any more), for the user: what is wrong, and what to type next. */
export function connectError(error: GatewayError, target: Target): CliError {
  const failure = (exitCode: ExitCode, message: string, advice: readonly string[]) =>
    new CliError(exitCode, message, advice, error)
  switch (error.code) {
    case 'UNAUTHORIZED':
      return failure(EXIT.NO_PERMISSION, `Authentication failed: ${error.message}`, tokenAdvice(target))
    case 'FORBIDDEN':
      return failure(EXIT.NO_PERMISSION, `The gateway at ${target.url} refuses this: ${error.message}`, [
        `${nextCommand('config show')}   on its machine prints whom it serves, and where that was set`,
      ])
    case 'RATE_LIMITED': {
      const wait = error.retryAfterMs === undefined ? '' : ` in ${Math.ceil(error.retryAfterMs / 1000)} s`
      return failure(EXIT.UNAVAILABLE, `The gateway asks for patience: ${error.message}`, [
        `Try again${wait || ' later'}; a wrong token that is tried again and again is one reason.`,
      ])
    }
  }
  if (isOtherVersion(error)) {
    return failure(EXIT.UNAVAILABLE, `The gateway at ${target.url} speaks another version of the protocol.`, [
      `This command speaks version ${PROTOCOL_VERSION}; the gateway says: ${error.message}`,
      'lurkbot --version   tells the version of this command; use that of the gateway',
    ])
  }
  return unreachable(error.cause ?? error, target, error)
}

interface Trouble {
  readonly message: string
  readonly advice: readonly string[]
}

/** Why nothing answers at an address as a gateway does, by what the network, TLS or HTTP said. */
export function unreachable(cause: unknown, target: Target, original: unknown = cause): CliError {
  const { message, advice } = troubleOf(cause, target) ?? {
    message: `There is no connection to ${target.url}: ${textOf(original)}`,
    advice: look(),
  }
  return new CliError(EXIT.UNAVAILABLE, message, advice, original)
}

export function isRefused(cause: unknown): boolean {
  // The latter for port 0, which is only known where a gateway runs.
  return codeOf(cause) === 'ECONNREFUSED' || codeOf(cause) === 'EADDRNOTAVAIL'
}

function troubleOf(cause: unknown, { url, wsUrl, local }: Target): Trouble | null {
  const { hostname, host, protocol } = new URL(url)
  const secure = protocol === 'https:'
  const code = codeOf(cause)
  const text = textOf(cause)
  if (isRefused(cause)) {
    const advice = local
      ? nextCommands([
          ['gateway start', 'starts it'],
          ['gateway status', 'says what is known of it'],
        ])
      : [...look(), 'Is the address right, and does the gateway listen there (its setting host)?']
    return { message: `The gateway is not running at ${url}: connection refused.`, advice }
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN' || code === 'EAI_FAIL') {
    const advice = [`getent hosts ${hostname}   asks this machine for its address`, ...look()]
    return { message: `The host name '${hostname}' is not known here (${code}).`, advice }
  }
  if (code === 'EHOSTUNREACH' || code === 'ENETUNREACH' || code === 'ETIMEDOUT') {
    return {
      message: `The network has no way to ${host} (${code}).`,
      advice: [`ping ${hostname}`, ...look()],
    }
  }
  if (/no hello-ok|timeout|timed out/i.test(text) || code === 'ABORT_ERR') {
    const advice = [`curl --max-time 5 ${url}/health   shows what answers there`, ...look()]
    return { message: `Nothing at ${url} answered as a gateway in time.`, advice }
  }
  if (secure && (isNoTls(code, text) || isCut(code, text))) {
    const plain = wsUrl.replace(/^wss/, 'ws')
    return { message: `There is no TLS at ${host}.`, advice: [`--url ${plain}   reaches it without`] }
  }
  if (secure && isUntrusted(code)) {
    return {
      message: `The certificate of ${host} is not trusted: ${text} (${code}).`,
      advice: [
        `openssl s_client -connect ${host} </dev/null   shows it`,
        'NODE_EXTRA_CA_CERTS=CA.pem, before the command, trusts its authority as well',
      ],
    }
  }
  if (isCut(code, text)) {
    const advice = [`--url ${wsUrl.replace(/^ws:/, 'wss:')}   if TLS is on there`, ...look()]
    return {
      message: `What listens at ${host} ended the connection: it is no gateway, or wants TLS.`,
      advice,
    }
  }
  const status = /Unexpected server response: (\d+)/.exec(text)?.[1]
  if (status !== undefined) return httpTrouble(Number(status), url)
  if (code.startsWith('HPE_') || cause instanceof SyntaxError || /does not speak|not a gateway/.test(text)) {
    return noGateway(url, 'it answers otherwise')
  }
  return null
}

/** What answered the upgrade with a status of its own. */
function httpTrouble(status: number, url: string): Trouble {
  if (status === 502 || status === 504) {
    const message = `The proxy at ${url} does not reach its gateway (HTTP ${status}).`
    return {
      message,
      advice: [`${nextCommand('gateway status')}   on the machine of the gateway says how it is`],
    }
  }
  if (status === 503 || status === 429) {
    return {
      message: `The gateway at ${url} takes no further connection now (HTTP ${status}).`,
      advice: [`curl ${url}/health/ready   says what it lacks`],
    }
  }
  return noGateway(url, `HTTP ${status}`)
}

function noGateway(url: string, answer: string): Trouble {
  const advice = [
    `curl ${url}/health   shows what answers; a gateway says {"status":…}`,
    'Behind a proxy the path counts, too (basePath): --url wss://HOST/PATH',
    ...look(),
  ]
  return { message: `There is no gateway at ${url} (${answer}).`, advice }
}

function tokenAdvice({ token, tokenPlaces }: Target): string[] {
  const found = token === undefined ? 'No token was found; looked for in:' : 'A token was looked for in:'
  return [
    found,
    ...tokenPlaces.map((place) => `- ${place}`),
    `${nextCommand('token new NAME')}   on the machine of the gateway makes one`,
  ]
}

function isOtherVersion({ code, details }: GatewayError): boolean {
  return (
    code === 'INVALID_REQUEST' && typeof details === 'object' && details !== null && 'minProtocol' in details
  )
}

function isNoTls(code: string, text: string): boolean {
  return code === 'EPROTO' || code.startsWith('ERR_SSL_') || /wrong version number|packet length/i.test(text)
}

function isCut(code: string, text: string): boolean {
  return code === 'ECONNRESET' || code === 'EPIPE' || /socket hang up|disconnected before secure/i.test(text)
}

/** The codes of OpenSSL's verification, and of Node's for names. */
function isUntrusted(code: string): boolean {
  return /CERT|SIGNATURE|ISSUER|^ERR_TLS_/.test(code)
}

/** Of the first address of a name that has several. */
function codeOf(cause: unknown): string {
  if (cause instanceof AggregateError && cause.errors.length > 0) return codeOf(cause.errors[0])
  return cause instanceof Error && 'code' in cause ? String(cause.code) : ''
}

function textOf(cause: unknown): string {
  if (cause instanceof AggregateError && cause.errors.length > 0) return textOf(cause.errors[0])
  return cause instanceof Error ? cause.message : String(cause)
}
