import fp from 'fastify-plugin'
import { createPrincipal } from '../src/auth/principal.js'
import { ConfigError } from '../src/config/problems.js'
import type { Config } from '../src/config/schema.js'
import { notify } from '../src/connectors/host.js'
import { HOOK_SOURCE, type RuleHost } from '../src/hooks/actions.js'
import { HookSources } from '../src/hooks/hook-sources.js'
import { MESSAGE_RECEIVED } from '../src/protocol/index.js'
import { OTHERS_SHARE } from './closing.js'

declare module 'fastify' {
  interface FastifyInstance {
    hookSources: HookSources
  }
}

export interface HookSourcesPluginOptions {
  config: Config
  home: string
  baseDir: string
}

/** As whom rules write to sessions. */
const HOOK = createPrincipal({ name: HOOK_SOURCE, role: HOOK_SOURCE, scopes: ['write'] })

/** Hook modules and hooks.yaml: loaded at the start, the latter watched from then on. */
export default fp<HookSourcesPluginOptions>(
  async (app, { config, home, baseDir }) => {
    const { hooks, log, intake, deliverer } = app
    const host: RuleHost = {
      env: process.env,
      isChannel: (name) => deliverer.isChannel(name),
      say: (sessionKey, content, rule, trace) =>
        intake.accept(
          {
            type: MESSAGE_RECEIVED,
            source: HOOK_SOURCE,
            sessionKey,
            payload: { content, sender: rule },
            priority: 'system',
            ...trace,
          },
          HOOK,
        ),
      deliver: (channel, target, text, trace) => notify(deliverer, channel, target, text, null, trace),
    }
    const { folders, timeoutMs, strict } = config.hooks
    const sources = new HookSources({ hooks, host, log, home, baseDir, folders, timeoutMs })
    app.decorate('hookSources', sources)
    app.addHook('onReady', async () => {
      // First, so that no change is missed.
      sources.watch()
      await sources.reload()
      const { problems } = sources
      if (strict && problems.length > 0) throw new ConfigError(problems)
    })
    app.addHook('onListen', async () => hooks.emit({ name: 'gateway:ready' }))
    const close = () => app.closing.step('hook sources', () => sources.close(), OTHERS_SHARE)
    app.addHook('onClose', close)
  },
  {
    name: 'hook-sources',
    dependencies: ['closing', 'hooks', 'lanes', 'outbox', 'connectors'],
    fastify: '5.x',
  },
)
