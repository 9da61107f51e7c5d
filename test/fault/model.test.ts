import t, { type Test } from 'tap'
import { temporaryFolder } from '../helpers/app.js'
import type { Frame } from '../helpers/socket.js'
import type { Action } from './model/actions.js'
import { check } from './model/check.js'
import { AppHost } from './model/hosts.js'
import { type Record, record, type Story } from './model/steps.js'

/** What is known of a story, to be falsified. */
type Known = { -readonly [K in keyof Record]: Record[K] } & { log: Frame[] }

const send = (lane: number, script: 'quick' | 'slow' | 'dead', more: object = {}): Action => ({
  do: 'send',
  lane,
  script,
  priority: null,
  keyed: true,
  wait: false,
  publish: false,
  ...more,
})

const STORY: Story = {
  modes: ['followup', 'collect', 'interrupt'],
  steps: [
    {
      step: 'do',
      client: 0,
      actions: [send(0, 'slow'), send(0, 'quick'), send(0, 'quick'), send(0, 'dead')],
    },
    {
      step: 'do',
      client: 1,
      actions: [send(1, 'quick'), send(1, 'quick'), send(1, 'quick', { wait: true })],
    },
    { step: 'leave', client: 2 },
    { step: 'do', client: 0, actions: [send(0, 'slow'), send(0, 'quick', { priority: 'cron' })] },
    { step: 'do', client: 2, actions: [{ do: 'repeat', pick: 1 }] },
    { step: 'end', how: 'stopped', client: 1, actions: [send(0, 'slow'), send(0, 'quick')], afterMs: 5 },
    { step: 'do', client: 0, actions: [send(0, 'quick')] },
    { step: 'pause', ms: 10 },
  ],
}

async function lived(t: Test): Promise<Record> {
  return record(STORY, async (history) => AppHost.create(await temporaryFolder(t), history))
}

t.test('a history in which every promise was kept is not found fault with', async (t) => {
  const { history, witness, ending } = await lived(t)
  t.same(check(history, witness, ending), [])
})

t.test('a broken promise is found, whatever else is right', async (t) => {
  const original = await lived(t)
  const found = (falsify: (known: Known) => void): string => {
    const { history, witness, ending } = structuredClone({
      ...original,
      history: { ...original.history, life: original.history.life },
    })
    const known = { history, witness, ending, log: [...ending.log] } as unknown as Known
    falsify(known)
    const problems = check(known.history, known.witness, { ...known.ending, log: known.log })
    return problems.map(({ says }) => says).join('\n')
  }
  const index = (log: readonly Frame[], event: string) => log.findIndex((frame) => frame.event === event)
  const watcher = ({ history }: Known) => history.connections.find(({ events }) => events.length > 20)!

  const finds = (name: string, expected: RegExp, falsify: (known: Known) => void) =>
    t.test(name, async (t) => t.match(found(falsify), expected))

  await finds('an acknowledged event without an end', /has no final event: it is lost/, ({ log }) =>
    log.splice(index(log, 'agent.completed'), 1),
  )
  await finds('two ends of one event', /has 2 final events/, ({ log }) => {
    const at = index(log, 'agent.completed')
    log.splice(at, 0, { ...log[at]!, seq: log[at]!.seq })
  })
  await finds('a message that was acknowledged and is gone', /its message is not in the journal/, ({ log }) =>
    log.splice(index(log, 'session.message'), 1),
  )
  await finds('a repeat with other ids', /the same key was acknowledged with 2 run ids/, ({ history }) => {
    const repeat = history.calls.find(({ result }) => result?.duplicate === true)!
    repeat.result = { ...repeat.result, runId: 'run_other' }
  })
  await finds('an end that a client did not see', /a gap/, (known) => {
    const { events } = watcher(known)
    events.splice(
      events.findIndex(({ frame }) => frame.event === 'agent.completed'),
      1,
    )
  })
  await finds('an event that a client saw twice', /twice, or out of order/, (known) => {
    const { events } = watcher(known)
    const at = events.findIndex(({ frame }) => frame.event === 'agent.completed')
    events.splice(at, 0, events[at]!)
  })
  await finds('a resume that is called a gap', /is not recovered from/, ({ history }) => {
    const resumed = history.connections.find(({ asked, given }) => asked !== null && given !== null)!
    resumed.given = { ...resumed.given!, recovered: false }
  })
  await finds('two at once in a session', /two at once/, (known) => {
    const end = known.witness.findIndex(({ what }) => what === 'end')
    known.witness = known.witness.filter((_, n) => n !== end)
  })
  await finds('a lane out of order', /began after .*, which came later/, (known) => {
    const lane = known.witness.filter(({ session, life }) => session === 'web:0:main' && life === 1)
    const [first, second] = [lane.slice(0, 2), lane.slice(2, 4)]
    known.witness = [...second, ...first, ...known.witness.filter((line) => !lane.slice(0, 4).includes(line))]
  })
  await finds('an answer in the history twice', /the history of web:0:main has at place/, ({ ending }) => {
    const messages = ending.conversations.get('web:0:main') as Frame[]
    messages.splice(2, 0, messages[1]!)
  })
  await finds('a waiter that is told something else', /the log says otherwise/, ({ history }) => {
    const waiter = history.calls.find(({ method, outcome }) => method === 'agent.wait' && outcome === 'ok')!
    waiter.result = { ...waiter.result, status: 'aborted' }
  })
  await finds('an abort that nobody asked for', /nobody asked for it/, ({ log }) => {
    const at = index(log, 'agent.completed')
    log[at] = { ...log[at]!, event: 'agent.aborted', payload: { ...log[at]!.payload, reason: 'requested' } }
  })
})
