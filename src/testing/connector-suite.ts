import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type {
  Connector,
  IncomingMessage,
  Inlet,
  OutgoingPart,
  Received,
  Target,
} from '../connectors/connector.js'
import { GatewayError } from '../protocol/index.js'
import type { DefineTest } from './agent-suite.js'

/** A connector under test, and the platform that it is connected to. */
export interface ConnectorHarness {
  readonly connector: Connector
  /** Someone of the platform writes this to the gateway, once it listens; `inlet` is for a connector’s `endpoint`. */
  say(text: string, inlet: Inlet): Promise<void> | void
  /** What the gateway is to see of such a message, besides its text. */
  readonly expected: Pick<IncomingMessage, 'peer' | 'thread' | 'group' | 'mentioned'> & {
    readonly sender: { readonly id: string }
  }
  /** Where parts are sent to. */
  readonly target: Target
  /** Resolves with the next text that arrives there, or arrived and was not asked for yet. */
  heard(): Promise<string>
  /** How many connections the platform holds with the connector; left out: there is no such thing. */
  connections?(): Promise<number> | number
  /** The same connector for a host where nobody listens; left out: it calls no host. */
  deadHost?(): Promise<Connector> | Connector
  /** The same connector with credentials that the platform refuses; left out: it has none. */
  wrongToken?(): Promise<Connector> | Connector
  /** Closes what the harness opened; the suite closes the connectors. */
  close?(): Promise<void>
}

const PATIENCE_MS = 15_000

/** The gateway's side of a connector: keeps what came in and accepts it at once. */
class SuiteInlet implements Inlet {
  readonly received: IncomingMessage[] = []
  readonly isConnected: Promise<void>
  #connected!: () => void
  #stop = new AbortController()

  constructor() {
    this.isConnected = new Promise((resolve) => {
      this.#connected = resolve
    })
  }

  connected(): void {
    this.#connected()
  }

  troubled(): void {}

  async receive(message: IncomingMessage): Promise<Received> {
    this.received.push(message)
    const { id } = message
    return { accepted: true, eventId: `evt_${id}`, runId: `run_${id}`, duplicate: false }
  }

  async knows({ peer, thread }: Target): Promise<boolean> {
    return this.received.some((message) => message.peer === peer && message.thread === thread)
  }

  /** Resolves with `stop` once connected. @throws why it could not. */
  async listen(connector: Connector): Promise<() => Promise<void>> {
    const listening = (async () => connector.listen(this, this.#stop.signal))()
    const ended = listening.then(() => {
      throw new Error('listen resolved before it was stopped')
    })
    await soon(Promise.race([this.isConnected, ended]), 'connects or rejects')
    // From here on only the stop is to end it.
    ended.catch(() => {})
    return async () => {
      this.#stop.abort()
      await soon(listening, 'ends with its signal')
    }
  }
}

/** What every connector must do (spec §4). `create` makes a fresh harness for each test. */
export function connectorSuite(test: DefineTest, create: () => Promise<ConnectorHarness>): void {
  const within = (name: string, body: (harness: ConnectorHarness) => Promise<void>) =>
    test(name, async () => {
      const harness = await create()
      try {
        await body(harness)
      } finally {
        await harness.connector.close?.()
        await harness.close?.()
      }
    })

  within('has a type and says what it can do', describesItself)
  within('hands over what is written to the gateway, once', receives)
  within('takes what is to be said to the platform', sends)
  within('ends with its signal and leaves nothing open, and listens again after that', listensAgain)
  within('does not begin what is stopped already', refusesStopped)
  within('says that a dead host may be up again later', async ({ deadHost }) => {
    if (deadHost !== undefined) await failsWith(await deadHost(), 'UNAVAILABLE', true)
  })
  within('says that a wrong token stays wrong', async ({ wrongToken }) => {
    if (wrongToken !== undefined) await failsWith(await wrongToken(), 'UNAUTHORIZED', false)
  })
  within('can be closed twice', async ({ connector }) => {
    await connector.close?.()
    await connector.close?.()
  })
}

async function describesItself({ connector }: ConnectorHarness): Promise<void> {
  const { type, capabilities } = connector
  assert.match(type, /^[a-z0-9][a-z0-9_-]*$/)
  assert(capabilities.maxLength > 0)
  if (capabilities.typingIntervalMs !== undefined) assert(connector.typing !== undefined)
  if (connector.preview !== undefined) assert(capabilities.previewIntervalMs !== undefined)
}

async function receives({ connector, say, expected }: ConnectorHarness): Promise<void> {
  const inlet = new SuiteInlet()
  const stop = await inlet.listen(connector)
  const texts = ['hello', 'and hello again']
  for (const text of texts) {
    await say(text, inlet)
    await until(() => inlet.received.some((message) => message.text === text), `hands over ${text}`)
  }
  await stop()
  assert.deepEqual(
    inlet.received.map(({ text }) => text),
    texts,
  )
  const ids = new Set<string>()
  for (const message of inlet.received) {
    const { peer, thread, group, mentioned, sender } = message
    assert.deepEqual({ peer, thread, group, mentioned, sender: { id: sender.id } }, expected)
    assert.equal(typeof message.id, 'string')
    ids.add(message.id)
  }
  assert.equal(ids.size, texts.length, 'each message has an id of its own')
}

async function sends(harness: ConnectorHarness): Promise<void> {
  const { connector } = harness
  const stop = await new SuiteInlet().listen(connector)
  for (const text of ['hello', 'Grüße, 世界 🙂']) {
    const { messageId } = await soon(
      connector.send(partOf(harness, text), new AbortController().signal),
      'sends',
    )
    assert(messageId === null || typeof messageId === 'string')
    assert.equal(await soon(harness.heard(), 'reaches the platform'), text)
  }
  await stop()
}

async function listensAgain(harness: ConnectorHarness): Promise<void> {
  const { connector, connections, say } = harness
  for (let time = 1; time <= 3; time++) {
    const inlet = new SuiteInlet()
    const stop = await inlet.listen(connector)
    await say(`time ${time}`, inlet)
    await until(
      () => inlet.received.some(({ text }) => text === `time ${time}`),
      'hands over what is written',
    )
    await stop()
    if (connections !== undefined) {
      await until(async () => (await connections.call(harness)) === 0, 'closes its connections')
    }
  }
}

async function refusesStopped({ connector, connections }: ConnectorHarness): Promise<void> {
  const listening = (async () => connector.listen(new SuiteInlet(), AbortSignal.abort()))()
  // Whether that is an error is its own choice: nobody hears of it.
  await soon(
    listening.catch(() => {}),
    'ends at once',
  )
  if (connections !== undefined) await until(async () => (await connections()) === 0, 'opens nothing')
}

async function failsWith(connector: Connector, code: string, retryable: boolean): Promise<void> {
  try {
    const listening = new SuiteInlet().listen(connector)
    await assert.rejects(listening, (error) => {
      assert(error instanceof GatewayError, `threw ${error}`)
      assert.deepEqual({ code: error.code, retryable: error.retryable }, { code, retryable })
      return true
    })
  } finally {
    await connector.close?.()
  }
}

function partOf({ target }: ConnectorHarness, text: string): OutgoingPart {
  return {
    target,
    text,
    attachments: [],
    idempotencyKey: randomUUID(),
    runId: null,
    replyTo: null,
    part: 1,
    parts: 1,
  }
}

async function soon<T>(promise: Promise<T>, what: string): Promise<T> {
  const control = new AbortController()
  const late = sleep(PATIENCE_MS, undefined, { signal: control.signal }).then(() => {
    throw new Error(`waited in vain: ${what}`)
  })
  late.catch(() => {})
  try {
    return await Promise.race([promise, late])
  } finally {
    control.abort()
  }
}

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = performance.now() + PATIENCE_MS
  while (!(await condition())) {
    assert(performance.now() < end, `waited in vain: ${what}`)
    await sleep(5)
  }
}
