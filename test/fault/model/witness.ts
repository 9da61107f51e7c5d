import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * What the agent saw, outside of the journal. `begin`: it was given an event; `took`: and another message while it was at
 * work; `end`: it is about to answer or to fail; `told`: its signal aborted; `late`: it answers although it was told to stop.
 */
export interface WitnessLine {
  readonly at: number
  readonly life: number
  readonly what: 'begin' | 'took' | 'end' | 'told' | 'late'
  readonly runId: string
  readonly eventId: string
  readonly session: string
  readonly attempt: number
  /** Of all that it was given so far, its own first. */
  readonly runIds: readonly string[]
  readonly labels: readonly string[]
  /** With `end`. */
  readonly how?: 'reply' | 'fail'
}

/** What a message makes the agent do; its content is a label that no other has, and one of these. */
export const SCRIPTS = {
  quick: 'reply:0',
  slow: 'reply:6',
  streamed: 'deltas:3',
  /** Fails once, then answers. */
  flaky: 'flaky:1',
  /** Fails for good at the third try. */
  broken: 'flaky:9',
  /** Fails for good at once. */
  dead: 'dead',
  /** Takes the messages that come in the meantime. */
  open: 'open:8',
  /** Until it is aborted, or the gateway is a quiet one. */
  hanging: 'hang',
  /** As `hanging`, but answers after it was told to stop, and streams on. */
  deaf: 'deaf:5',
} as const

export type Script = keyof typeof SCRIPTS

export const contentOf = (label: string, script: Script): string => `${label} ${SCRIPTS[script]}`

export const labelsIn = (content: string): string[] => content.match(/#\w+/g) ?? []

/** What the agent answers to the messages of these labels. */
export const answerTo = (labels: readonly string[]): string => `re: ${labels.join(' ')}`

/** Whether the agent fails for good at what it was told to do by this message. */
export const isFatal = (content: string): boolean => / (dead|flaky:9)/.test(content)

const AGENT = `
import { appendFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

const file = new URL('./witness.log', import.meta.url)

export default async function (event, context) {
  const { signal, attempt, options } = context
  const content = event.payload.content
  const labels = content.match(/#\\w+/g)
  const runIds = context.events.map((one) => one.runId)
  const note = (what, more) => {
    const at = Number(process.hrtime.bigint() / 1000n)
    const { runId, id: eventId, sessionKey: session } = event
    const line = { at, life: options.life, what, runId, eventId, session, attempt, runIds, labels, ...more }
    appendFileSync(file, '\\n' + JSON.stringify(line))
  }
  const fail = (error) => {
    note('end', { how: 'fail' })
    throw error
  }
  note('begin')
  let over = false
  signal.addEventListener('abort', () => over || note('told'), { once: true })
  const told = new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
  const [script, number] = content.split(' ')[1].split(':')
  if (script === 'reply') await delay(Number(number), undefined, { signal })
  if (script === 'open') {
    context.onSteer((message) => {
      if (over) return false
      runIds.push(message.runId)
      labels.push(...message.payload.content.match(/#\\w+/g))
      note('took')
    })
    await delay(Number(number), undefined, { signal })
  }
  if (script === 'deltas') {
    for (let i = 0; i < Number(number); i++) {
      context.delta('d' + i)
      await delay(1, undefined, { signal })
    }
  }
  if (script === 'dead') fail(Object.assign(new Error('dead'), DEAD))
  if (script === 'flaky' && attempt <= Number(number)) fail(new Error('flaky'))
  if (script === 'hang' && !options.quiet) await delay(600_000, undefined, { signal })
  if (script === 'deaf' && !options.quiet) {
    await told
    await delay(Number(number))
    context.delta('late')
    note('late')
    return 'late'
  }
  over = true
  note('end', { how: 'reply' })
  return 're: ' + labels.join(' ')
}

const DEAD = { [Symbol.for('lurkbot.GatewayError')]: true, code: 'NOT_LINKED', details: null, retryable: false }
`

/** Puts the module agent into the state folder that it writes its file to. */
export async function installAgent(home: string): Promise<void> {
  await writeFile(join(home, 'agent.mjs'), AGENT)
}

/** A line that a kill cut short is none: what it would have said did not happen. */
export async function readWitness(home: string): Promise<WitnessLine[]> {
  const text = await readFile(join(home, 'witness.log'), 'utf8').catch(() => '')
  return text
    .split('\n')
    .filter((line) => line.endsWith('}'))
    .map((line) => JSON.parse(line) as WitnessLine)
}
