import type { FastifyInstance } from 'fastify'
import { pathsOf } from '../../src/auth/audit.js'
import { requireUnconfined } from '../../src/auth/rights.js'
import type { ChangeResult, Origin } from '../../src/config/control.js'
import { ConfigError } from '../../src/config/problems.js'
import { ConfigSchema } from '../../src/config/schema.js'
import type { RequestContext } from '../../src/methods/registry.js'
import {
  configGet,
  configPatch,
  configReload,
  configSchema,
  configSet,
  GatewayError,
} from '../../src/protocol/index.js'

/** `config.*`. */
export default async function configMethods(app: FastifyInstance): Promise<void> {
  const control = app.configControl

  app.method(configGet, ({ path }, { principal }) => {
    requireUnconfined(principal)
    return control.get(path)
  })

  app.method(configSchema, () => ({ schema: ConfigSchema }))

  app.method(configSet, ({ path, value, baseHash }, context) =>
    explained(context, () => control.set(path, value, baseHash, originOf(context), context.signal)),
  )

  app.method(configPatch, ({ patch, baseHash }, context) =>
    explained(context, () => control.patch(patch, baseHash, originOf(context), context.signal)),
  )

  app.method(configReload, (_params, context) =>
    explained(context, () => control.reload(originOf(context), context.signal)),
  )
}

function originOf({ principal }: RequestContext): Origin {
  requireUnconfined(principal)
  return { source: 'rpc', by: principal.name }
}

/** For the audit log: what has changed. Problems are the client's to mend: all of them, with where each comes from. */
async function explained(
  context: RequestContext,
  change: () => Promise<ChangeResult>,
): Promise<ChangeResult> {
  try {
    const result = await change()
    const paths = pathsOf([...result.applied, ...result.restartRequired])
    context.target = { ...context.target, paths }
    return result
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const { problems, message } = error
    throw new GatewayError('INVALID_REQUEST', `Nothing was changed: ${message}`, {
      details: { problems: [...problems] },
    })
  }
}
