import type { Frame } from '../../helpers/socket.js'
import type { Problem } from './check.js'
import type { Ending } from './facts.js'
import type { History } from './history.js'
import type { WitnessLine } from './witness.js'

const MAX_PROBLEMS = 4
const MAX_LINES = 40

interface Line {
  readonly at: number
  readonly text: string
  /** What it is found by. */
  readonly words: string
}

/** Problems for people: each with the part of the log that is about it, in the order in which it happened. */
export function explain(
  problems: readonly Problem[],
  history: History,
  witness: readonly WitnessLine[],
  ending: Ending,
): string {
  const lines = [...lifeLines(history), ...callLines(history), ...frameLines(history, ending)]
  for (const { at, life, what, session, attempt, labels, how = '', runId } of witness) {
    const text = `agent (life ${life}): ${what} ${how} ${labels.join(' ')} in ${session}, try ${attempt}`
    lines.push({ at, text, words: `${runId} ${labels.join(' ')} ` })
  }
  lines.sort((a, b) => a.at - b.at)
  const start = history.lives[0]?.startedAt ?? 0
  const shown = problems.slice(0, MAX_PROBLEMS).map((problem) => {
    const about = excerpt(problem, lines).map(({ at, text }) => `    ${elapsed(at - start)} ${text}`)
    return [`* ${problem.says}`, ...about].join('\n')
  })
  const more = problems.length - shown.length
  const rest =
    more > 0 ? [`and ${more} more, such as:`, ...problems.slice(-3).map(({ says }) => `* ${says}`)] : []
  return [`${problems.length} promises broken`, ...shown, ...rest].join('\n')
}

/** The lines that name what the problem is about, with the lives around them; of many those nearest to where it shows. */
function excerpt({ about, at }: Problem, lines: readonly Line[]): Line[] {
  const words = about.filter((word) => word.length > 1).map((word) => `${word} `)
  const relevant = lines.filter((line) => words.some((word) => line.words.includes(word)))
  let nearest = relevant
  if (relevant.length > MAX_LINES) {
    const center = at === undefined ? relevant.length : relevant.findIndex((line) => line.at >= at)
    const first = Math.max(0, Math.min(center - MAX_LINES * 0.75, relevant.length - MAX_LINES))
    nearest = relevant.slice(first, first + MAX_LINES)
  }
  const [from, to] = [nearest[0]?.at ?? 0, nearest.at(-1)?.at ?? 0]
  return lines.filter(
    (line) => nearest.includes(line) || (line.words === '' && line.at > from && line.at < to),
  )
}

function* lifeLines({ lives }: History): Iterable<Line> {
  for (const { n, startedAt, endedAt, end } of lives) {
    yield { at: startedAt, text: `gateway ${n} starts`, words: '' }
    if (end !== null) yield { at: endedAt, text: `gateway ${n} is ${end}`, words: '' }
  }
}

function* callLines({ calls }: History): Iterable<Line> {
  for (const call of calls) {
    const { client, method, params, sessionKey, outcome, result, error } = call
    const words = `${JSON.stringify([params, result]).replaceAll(/["\\]/g, ' ')} ${sessionKey} ${client} `
    const what = `${client}: ${method} ${JSON.stringify(params)} ${sessionKey ?? ''}`
    if (outcome === 'lost' || outcome === 'open') {
      yield {
        at: call.sentAt,
        text: `${what} -> ${error === null ? 'no answer' : `perhaps: ${error.code}`}`,
        words,
      }
      continue
    }
    const answer = outcome === 'ok' ? short(result) : `${error.code}: ${error.message}`
    const took = ((call.answeredAt - call.sentAt) / 1000).toFixed(1)
    yield { at: call.sentAt, text: `${what} -> after ${took} ms ${answer}`, words }
  }
}

/** Each event once, where it was first seen; and each connection. */
function* frameLines({ connections }: History, { log }: Ending): Iterable<Line> {
  const seen = new Set<number>()
  for (const { client, n, life, openedAt, asked, given, events } of connections) {
    const from = asked === null ? '' : ` from ${asked.seq}`
    const to = given === null ? 'no answer' : `seq ${given.seq}, recovered ${given.recovered}`
    yield {
      at: openedAt,
      text: `${client}: connection ${n} (life ${life})${from}: ${to}`,
      words: `${client} `,
    }
    for (const { at, frame } of events) {
      if (frame.seq !== undefined && seen.has(frame.seq)) continue
      seen.add(frame.seq)
      yield frameLine(at, client, frame)
    }
  }
  for (const frame of log)
    if (!seen.has(frame.seq)) yield frameLine(Number.MAX_SAFE_INTEGER, 'the log', frame)
}

function frameLine(at: number, who: string, { event, seq, sessionKey, payload }: Frame): Line {
  const words = `${JSON.stringify(payload).replaceAll(/["\\]/g, ' ')} ${sessionKey} `
  return { at, text: `${who} sees ${seq ?? '-'} ${event} ${sessionKey} ${short(payload)}`, words }
}

const short = (value: unknown): string => {
  const text = JSON.stringify(value)
  return text.length > 180 ? `${text.slice(0, 180)}…` : text
}

const elapsed = (micros: number): string =>
  micros > 1e12 ? '   in the end' : `${(micros / 1e6).toFixed(4).padStart(10)} s`
