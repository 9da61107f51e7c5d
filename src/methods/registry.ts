import type { Static, TObject, TSchema } from '@sinclair/typebox'
import type { Principal } from '../auth/principal.js'
import type { Connection } from '../connection/connection.js'
import type { Contract, ErrorCode, JsonObject, Scope } from '../protocol/index.js'
import { EVENTS, GatewayError, PROTOCOL_VERSION } from '../protocol/index.js'
import { compileValidator, type Validate } from '../protocol/validation.js'
import type { TraceContext } from '../tracing/trace-context.js'

/** What a handler knows of its request. */
export interface RequestContext {
  readonly requestId: string
  readonly method: string
  readonly principal: Principal
  /** Never null where the contract says `session: 'required'`. */
  readonly sessionKey: string | null
  readonly connection: Connection
  /** Aborts on `cancel` and when the connection ends. */
  readonly signal: AbortSignal
  /** What comes of the request belongs to it; null: no trace. */
  readonly trace: TraceContext | null
  /** What is done already and stays so; told in the `details` of an error should the request not get its result. */
  done: JsonObject | null
  /** Of a method that is audited: ids and names of what it is about, for the audit log; never secrets or contents. */
  target: JsonObject | null
}

export type Handler<C extends Contract = Contract> = (
  params: C extends Contract<infer P, TSchema> ? Static<P> : never,
  context: RequestContext,
) => Result<C> | Promise<Result<C>>

type Result<C> = C extends Contract<TSchema, infer R> ? Static<R> : never

/** Told of each ended request; seconds. */
export type ObserveRequest = (method: string, code: ErrorCode | 'OK', seconds: number) => void

/** A contract with its handler, ready to be called. */
export interface Method {
  readonly contract: Contract
  readonly handler: Handler
  readonly validateParams: Validate
  readonly validateResult: Validate | null
}

const NO_PARAMS = Object.freeze({})

/** The methods of a gateway: filled while plugins load, sealed before the first request. */
export class MethodRegistry {
  readonly #methods = new Map<string, Method>()
  readonly #checkResults: boolean
  #sealed = false
  #catalogue: Catalogue | null = null

  /** `checkResults`: validate what handlers return as well; for tests. */
  constructor(options: { checkResults?: boolean } = {}) {
    this.#checkResults = options.checkResults ?? false
  }

  /** @throws when the name is taken or the registry is sealed: a start-up error. */
  add<P extends TObject, R extends TSchema>(
    contract: Contract<P, R>,
    handler: Handler<Contract<P, R>>,
  ): void {
    if (this.#sealed) throw new Error(`method '${contract.name}' was registered after start`)
    if (this.#methods.has(contract.name)) throw new Error(`method '${contract.name}' is registered twice`)
    this.#methods.set(contract.name, {
      contract,
      handler: handler as Handler,
      validateParams: compileValidator(contract.params, 'params'),
      validateResult: this.#checkResults ? compileValidator(contract.result, 'result') : null,
    })
  }

  seal(): void {
    this.#sealed = true
  }

  get names(): string[] {
    return [...this.#methods.keys()].sort()
  }

  /** @throws `METHOD_NOT_FOUND`. */
  get(name: string): Method {
    const method = this.#methods.get(name)
    if (method === undefined)
      throw new GatewayError('METHOD_NOT_FOUND', `There is no method '${name}'; methods.list names them.`)
    return method
  }

  /** Every method and event with JSON Schemas: `methods.list` and `GET /methods`. */
  catalogue(): Catalogue {
    this.#catalogue ??= {
      protocol: PROTOCOL_VERSION,
      methods: this.names.map((name) => {
        const { summary, scope, session, params, result } = this.#methods.get(name)!.contract
        return { name, summary, scope, session, params, result }
      }),
      events: Object.values(EVENTS).map(({ name, summary, durable, scope, payload }) => ({
        name,
        summary,
        durable,
        scope,
        payload,
      })),
    }
    return this.#catalogue
  }
}

export interface Catalogue {
  protocol: number
  methods: {
    name: string
    summary: string
    scope: Scope | null
    session: Contract['session']
    params: unknown
    result: unknown
  }[]
  events: { name: string; summary: string; durable: boolean; scope: Scope | null; payload: unknown }[]
}

/**
 * Checks a request against its method's contract and calls the handler. Synchronous handlers answer synchronously.
 * @throws `FORBIDDEN`, `INVALID_REQUEST`, or what the handler throws.
 */
export function invoke(method: Method, params: unknown, context: RequestContext): unknown {
  const { contract } = method
  authorize(contract, context)
  const given = params ?? NO_PARAMS
  method.validateParams(given)
  const result = method.handler(given as never, context)
  if (method.validateResult === null) return result
  if (!(result instanceof Promise)) return checkResult(method, result)
  return result.then((value) => checkResult(method, value))
}

function authorize(contract: Contract, { principal, sessionKey }: RequestContext): void {
  if (contract.scope !== null && !principal.scopes.has(contract.scope)) {
    throw new GatewayError('FORBIDDEN', `${contract.name} needs the scope '${contract.scope}'.`, {
      details: { scope: contract.scope },
    })
  }
  if (contract.session === 'none') return
  if (sessionKey === null) {
    if (contract.session === 'optional') return
    throw new GatewayError(
      'INVALID_REQUEST',
      'sessionKey: expected a session key such as telegram:123456789:main',
      {
        details: { path: 'sessionKey' },
      },
    )
  }
  if (!principal.allowsSession(sessionKey)) {
    throw new GatewayError('FORBIDDEN', 'These credentials do not cover that session.', {
      details: { sessionKey },
    })
  }
}

function checkResult(method: Method, result: unknown): unknown {
  try {
    method.validateResult!(result)
  } catch (cause) {
    throw new Error(`the result of ${method.contract.name} breaks its contract`, { cause })
  }
  return result
}
