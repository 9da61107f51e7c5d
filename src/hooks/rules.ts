import { Webhook } from 'standardwebhooks'
import { checkDocument } from '../config/document.js'
import { checkHttpUrl } from '../config/http-url.js'
import type { Layer } from '../config/merge.js'
import { formatPath, type Path } from '../config/paths.js'
import type { Problem } from '../config/problems.js'
import { didYouMean } from '../config/suggest.js'
import { createTemplate, type Template } from '../connectors/template.js'
import {
  type Action,
  deliveryAction,
  logAction,
  MAX_BACKOFF_MS,
  messageAction,
  type RuleHost,
  webhookAction,
} from './actions.js'
import { type Condition, ConditionError, compileCondition } from './condition.js'
import { HOOK_FIELDS, type HookName, matchingEvents, viewOf } from './events.js'
import { DEFAULT_PRIORITY, type HookDefinition } from './registered-hook.js'
import { type Rule, RulesDocument, secret, url } from './rule-schema.js'

const ATTEMPTS = 3
const WEBHOOK_TIMEOUT_MS = 10_000
/** What the gateway itself waits for has its own bound: the disk. */
const OTHER_TIMEOUT_MS = 60_000

/** The rules of hooks.yaml. What is wrong goes to `problems`; then none of them is to be used. */
export function createRules(layer: Layer, host: RuleHost, problems: Problem[]): HookDefinition[] {
  const document = checkDocument(RulesDocument, layer, problems)
  if (document === undefined) return []
  const names = new Map<string, number>()
  return document.hooks.map((rule, index) => {
    const base = ['hooks', index]
    const refuse: Refuse = (path, message) => {
      const where = [...base, ...path]
      problems.push({ path: formatPath(where), source: layer.source(where), message })
    }
    const same = names.get(rule.name)
    if (same !== undefined) refuse(['name'], `expected a name of its own, found that of hooks[${same}]`)
    names.set(rule.name, index)
    return createRule(rule, layer.source([]), host, refuse)
  })
}

type Refuse = (path: Path, message: string) => void

function createRule(rule: Rule, source: string, host: RuleHost, refuse: Refuse): HookDefinition {
  const { name, description = null, priority = DEFAULT_PRIORITY, enabled = true } = rule
  const events = eventsOf(rule, refuse)
  const roots = [...new Set(['name', 'at', ...events.flatMap((event) => HOOK_FIELDS[event])])]
  const conditions = conditionsOf(rule, roots, refuse)
  const { action, timeoutMs } = actionOf(rule, roots, host, refuse)
  return {
    name,
    kind: 'rule',
    source,
    description,
    events,
    priority,
    enabled,
    onlyTold: true,
    timeoutMs,
    run: (event, context) => {
      const view = viewOf(event, Date.now())
      if (conditions.every((holds) => holds(view))) return action(view, context)
    },
  }
}

function eventsOf({ on }: Rule, refuse: Refuse): HookName[] {
  try {
    return matchingEvents(typeof on === 'string' ? [on] : on)
  } catch (error) {
    refuse(['on'], (error as Error).message)
    return []
  }
}

function conditionsOf({ when = {} }: Rule, roots: readonly string[], refuse: Refuse): Condition[] {
  return Object.entries(when).flatMap(([field, wanted]) => {
    const root = field.split('.')[0]!
    if (!roots.includes(root)) {
      const hint = didYouMean(root, roots) || `; they have ${roots.join(', ')}`
      refuse(['when', field], `expected a field of these events${hint}`)
      return []
    }
    try {
      return [compileCondition(field, wanted)]
    } catch (error) {
      if (!(error instanceof ConditionError)) throw error
      refuse(error.key === null ? ['when', field] : ['when', field, error.key], error.message)
      return []
    }
  })
}

interface Done {
  readonly action: Action
  readonly timeoutMs: number
}

const NOTHING: Done = { action: () => {}, timeoutMs: OTHER_TIMEOUT_MS }

function actionOf(rule: Rule, roots: readonly string[], host: RuleHost, refuse: Refuse): Done {
  const { name, log, webhook, message } = rule
  const given = Object.entries({ log, webhook, message }).filter(([, action]) => action !== undefined)
  if (given.length !== 1) {
    const found = given.length === 0 ? 'none' : given.map(([key]) => key).join(' and ')
    refuse([], `expected one of log, webhook and message, found ${found}`)
    return NOTHING
  }
  const template = (path: Path, text: string): Template => {
    try {
      return createTemplate(text, roots)
    } catch (error) {
      refuse(path, (error as Error).message)
      return createTemplate('', roots)
    }
  }
  if (log !== undefined) {
    const { level = 'info', text } = log
    return { ...NOTHING, action: logAction(name, level as 'info', template(['log', 'text'], text)) }
  }
  if (message !== undefined) return { ...NOTHING, action: talk(name, message, template, host, refuse) }
  return post(name, webhook!, template, host, refuse)
}

type WebhookOptions = NonNullable<Rule['webhook']>
type MakeTemplate = (path: Path, text: string) => Template

function talk(
  rule: string,
  { sessionKey, channel, peer, thread, text }: NonNullable<Rule['message']>,
  template: MakeTemplate,
  host: RuleHost,
  refuse: Refuse,
): Action {
  const content = template(['message', 'text'], text)
  const toChannel = channel !== undefined && peer !== undefined && sessionKey === undefined
  if (toChannel) {
    if (!host.isChannel(channel)) {
      refuse(['message', 'channel'], `expected a configured channel, found ${JSON.stringify(channel)}`)
    }
    const address = {
      channel,
      peer: template(['message', 'peer'], peer),
      thread: thread === undefined ? null : template(['message', 'thread'], thread),
    }
    return deliveryAction(address, content, host)
  }
  if (sessionKey === undefined || channel !== undefined || peer !== undefined || thread !== undefined) {
    refuse(['message'], 'expected either sessionKey, or channel and peer')
    return NOTHING.action
  }
  return messageAction(rule, template(['message', 'sessionKey'], sessionKey), content, host)
}

function post(
  rule: string,
  options: WebhookOptions,
  template: MakeTemplate,
  { env }: RuleHost,
  refuse: Refuse,
): Done {
  const { attempts = ATTEMPTS, timeoutMs = WEBHOOK_TIMEOUT_MS, text } = options
  const content = text === undefined ? null : template(['webhook', 'text'], text)
  const found = [...url.check(options, env), ...secret.check(options, env)]
  const isSet = 'expected a variable that is set'
  if (url.unset(options, env) !== undefined) found.push({ path: 'urlEnv', message: isSet })
  if (secret.unset(options, env) !== undefined) found.push({ path: 'secretEnv', message: isSet })
  for (const { path, message } of found) refuse(['webhook', path], message)
  const to = url.read(options, env)
  if (to === undefined || found.length > 0) return NOTHING
  // It may hold a key, so that it is not shown.
  if (!checkHttpUrl('url', to, '').next().done) {
    refuse(['webhook'], 'expected an http or https URL without credentials (it is not shown)')
  }
  const key = secret.read(options, env)
  const hook = key === undefined ? null : new Webhook(key)
  return {
    action: webhookAction(rule, content, { url: to, hook, attempts, timeoutMs }),
    timeoutMs: attempts * (timeoutMs + MAX_BACKOFF_MS),
  }
}
