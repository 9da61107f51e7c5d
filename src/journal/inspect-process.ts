import { type InspectDepth, inspectJournal } from './inspect.js'

const [path = '', depth] = process.argv.slice(2)
process.send?.(inspectJournal(path, depth as InspectDepth))
