import { Deliverer } from '../../src/connectors/deliverer.js'
import { openSqliteJournal } from '../../src/journal/sqlite.js'
import { sampleDelivery } from '../../src/testing/journal-samples.js'
import { ScriptedChannel } from '../helpers/scripted-channel.js'

// Run by deliverer-crash.test.ts, which kills it: `<journal> <text it never gets past>`. Says each part that it is asked to send.

const [path = '', last] = process.argv.slice(2)
const quiet = () => {}
const log = { debug: quiet, info: quiet, warn: console.error, error: console.error }
const journal = await openSqliteJournal({
  path,
  maxPendingWrites: 1_000,
  retentionMs: 3_600_000,
  idempotencyWindowMs: 60_000,
  log,
})
const deliverer = new Deliverer({
  journal,
  broadcaster: { broadcast: quiet },
  log,
  channels: new Set(['chat']),
  maxPendingDeliveries: 100,
  observe: quiet,
  delivery: { attempts: 3, timeoutMs: 60_000, backoffMs: 1, maxBackoffMs: 1 },
})
const found = await deliverer.recover()
const channel = new ScriptedChannel()
channel.onSend = ({ text, idempotencyKey }) => {
  process.stdout.write(`${JSON.stringify([text, idempotencyKey])}\n`)
  return text === last ? new Promise(quiet) : undefined
}
deliverer.attach(channel)
if (found === 0) {
  await deliverer.enqueue(['a|b|c', 'd'].map((text) => sampleDelivery(text)))
  await deliverer.enqueue([sampleDelivery('e|f', { peer: '2' })])
}
setInterval(quiet, 1_000)
