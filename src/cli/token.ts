import type { GatewayClient } from '../client/types.js'
import type { Contract, ParamsOf, ResultOf } from '../protocol/contract.js'
import type { Role, TokenInfo } from '../protocol/identity.js'
import { tokensList, tokensNew, tokensRevoke, tokensRotate } from '../protocol/methods/tokens.js'
import { CliError, withNames } from './cli-error.js'
import { connect, createCliClient } from './connect.js'
import { EXIT, type ExitCode } from './exit-codes.js'
import { printable } from './format.js'
import { findTarget, type TargetOptions } from './target.js'

export interface TokenOptions extends TargetOptions {
  readonly json?: boolean
}

export interface NewTokenOptions extends TokenOptions {
  readonly role?: Role
  readonly scope?: string[]
  readonly session?: string[]
  /** Milliseconds. */
  readonly expires?: number
}

export interface RotateTokenOptions extends TokenOptions {
  /** Milliseconds. */
  readonly overlap?: number
}

const PAGE = 500
const HINT = 'This is the only time that it is shown: keep it now.'

/** `lurkbot token new NAME`: the secret alone on standard output, what is said about it on standard error. */
export async function newToken(name: string, options: NewTokenOptions): Promise<ExitCode> {
  const { role, scope, session, expires } = options
  const params = {
    name,
    ...(role === undefined ? {} : { role }),
    ...(scope === undefined ? {} : { scopes: scope as ParamsOf<typeof tokensNew>['scopes'] }),
    ...(session === undefined ? {} : { sessions: session }),
    ...(expires === undefined ? {} : { expiresInMs: expires }),
  }
  const result = await ask(options, tokensNew, params)
  if (options.json) console.log(JSON.stringify(result, null, 2))
  else {
    console.error(`The token ${name} (${describeRights(result.token)}). ${HINT}`)
    if (!result.enforced) console.error('Authentication is off: without a token everyone may do everything.')
    console.log(result.secret)
  }
  return EXIT.OK
}

/** `lurkbot token list` */
export async function listTokens(options: TokenOptions): Promise<ExitCode> {
  const tokens = await withGateway(options, async (client) => {
    const all: TokenInfo[] = []
    let cursor: string | null = null
    do {
      const page: ResultOf<typeof tokensList> = await client.request(tokensList, {
        limit: PAGE,
        ...(cursor === null ? {} : { cursor }),
      })
      all.push(...page.tokens)
      cursor = page.nextCursor
    } while (cursor !== null)
    return all
  })
  console.log(options.json ? JSON.stringify({ tokens, nextCursor: null }, null, 2) : table(tokens))
  return EXIT.OK
}

/** `lurkbot token revoke TOKEN`, by id or name. */
export async function revokeToken(token: string, options: TokenOptions): Promise<ExitCode> {
  const result = await ask(options, tokensRevoke, choiceOf(token))
  console.log(options.json ? JSON.stringify(result, null, 2) : `The token ${token} is revoked.`)
  return EXIT.OK
}

/** `lurkbot token rotate TOKEN`: prints as `new` does. */
export async function rotateToken(token: string, options: RotateTokenOptions): Promise<ExitCode> {
  const { overlap } = options
  const params = { ...choiceOf(token), ...(overlap === undefined ? {} : { overlapMs: overlap }) }
  const result = await ask(options, tokensRotate, params)
  if (options.json) console.log(JSON.stringify(result, null, 2))
  else {
    const { previousUntil } = result.token
    const before = previousUntil === null ? 'has ended' : `is good until ${time(previousUntil)}`
    console.error(`The token ${token} has a new secret; the one before ${before}. ${HINT}`)
    console.log(result.secret)
  }
  return EXIT.OK
}

function ask<C extends Contract>(
  options: TargetOptions,
  contract: C,
  params: ParamsOf<C>,
): Promise<ResultOf<C>> {
  return withGateway(options, (client) => client.request(contract, params as object) as Promise<ResultOf<C>>)
}

async function withGateway<T>(
  options: TargetOptions,
  work: (client: GatewayClient) => Promise<T>,
): Promise<T> {
  const target = await findTarget(options)
  const client = createCliClient(target, { reconnect: false, subscribe: [] })
  await connect(client, target)
  try {
    return await work(client)
  } catch (error) {
    throw withNames(error, 'token list')
  } finally {
    client.close()
  }
}

function choiceOf(token: string): { tokenId: string } | { name: string } {
  if (token === '') throw new CliError(EXIT.USAGE, 'expected the name or the id of a token')
  return token.startsWith('tok_') ? { tokenId: token } : { name: token }
}

function table(tokens: readonly TokenInfo[]): string {
  const head = ['NAME', 'ID', 'RIGHTS', 'EXPIRES', 'LAST USED']
  const rows = tokens.map((token) => [
    token.name,
    token.tokenId ?? `(${token.source})`,
    describeRights(token),
    time(token.expiresAt),
    time(token.lastUsedAt),
  ])
  const all = [head, ...rows].map((row) => row.map(printable))
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]!.length)))
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

function describeRights({ role, scopes, sessions }: TokenInfo): string {
  const rights = `${role}: ${scopes.join(', ') || 'nothing'}`
  return sessions === null ? rights : `${rights}; ${sessions.join(' ')}`
}

function time(at: number | null): string {
  return at === null ? '-' : new Date(at).toISOString().slice(0, 16).replace('T', ' ')
}
