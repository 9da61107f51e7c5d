import { parseArgs } from 'node:util'
import { type Sample, soak } from './soak/soak.js'
import { printTable } from './table.js'

/** `node dist/benchmarks/soak.js --minutes 20 --every 60 --rate 100`: mixed traffic, and what it leaves behind. */
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '20' },
    every: { type: 'string', default: '60' },
    rate: { type: 'string', default: '100' },
  },
})

const mib = (bytes: number) => (bytes / 1024 / 1024).toFixed(1)
const ms = ({ p50, p99 }: { p50: number; p99: number }) => `${p50.toFixed(1)} / ${p99.toFixed(0)}`

const HEAD = [
  'minute',
  'RSS MiB',
  'heap MiB',
  'handles',
  'files',
  'journal MiB',
  'acknowledged',
  'ended',
  'refused',
  'reconnects',
  'ack ms p50 / p99',
  'answer ms p50 / p99',
]

const row = (sample: Sample) => [
  (sample.seconds / 60).toFixed(1),
  mib(sample.rss),
  mib(sample.heapUsed),
  String(sample.handles),
  String(sample.descriptors),
  mib(sample.journalBytes),
  String(sample.acknowledged),
  String(sample.ended),
  String(sample.refused),
  String(sample.reconnects),
  ms(sample.acknowledgeMs),
  ms(sample.answerMs),
]

const { samples, findings } = await soak({
  seconds: Number(values.minutes) * 60,
  everySeconds: Number(values.every),
  perSecond: Number(values.rate),
  onSample: (sample) => console.error(row(sample).join('  ')),
})
printTable(`Soak: ${values.minutes} minutes, ${values.rate} messages a second`, HEAD, samples.map(row))
for (const finding of findings) console.log(`\nNOT AS PROMISED: ${finding}`)
if (findings.length === 0) console.log('\nNothing was lost, nothing came twice, nothing grew without bound.')
process.exitCode = findings.length === 0 ? 0 : 1
