import { Value } from '@sinclair/typebox/value'
import t from 'tap'
import { ResponseFrame } from '../../src/protocol/index.js'
import { startApp } from '../helpers/app.js'
import type { Frame } from '../helpers/socket.js'

const isError = (frame: Frame) => frame.type === 'response' && frame.error !== null

/** Frames that are not of the protocol, with the id under which they are answered. */
const BAD: [frame: string, id: string | null, message: RegExp][] = [
  ['', null, /not JSON/],
  ['{', null, /not JSON/],
  ['hello', null, /not JSON/],
  ['{"type":"request","id":"x"', null, /not JSON/],
  ['[]', null, /expected a JSON object/],
  ['[{"type":"request","id":"x","method":"gateway.ping"}]', null, /expected a JSON object/],
  ['5', null, /expected a JSON object/],
  ['null', null, /expected a JSON object/],
  ['"request"', null, /expected a JSON object/],
  ['{}', null, /type: expected/],
  ['{"type":"reply","id":"x"}', 'x', /type: expected/],
  ['{"type":["request"],"id":"x","method":"gateway.ping"}', 'x', /type: expected/],
  ['{"type":"__proto__","id":"x"}', 'x', /type: expected/],
  ['{"type":"request"}', null, /id: expected/],
  ['{"type":"request","id":null,"method":"gateway.ping"}', null, /id: expected/],
  ['{"type":"request","id":7,"method":"gateway.ping"}', null, /id: expected/],
  ['{"type":"request","id":"","method":"gateway.ping"}', null, /id: expected/],
  [`{"type":"request","id":"${'x'.repeat(129)}","method":"gateway.ping"}`, null, /id: expected/],
  ['{"type":"request","id":"x"}', 'x', /method: expected/],
  ['{"type":"request","id":"x","method":{}}', 'x', /method: expected/],
  ['{"type":"request","id":"x","method":""}', 'x', /method: expected/],
  [`{"type":"request","id":"x","method":"${'m'.repeat(129)}"}`, 'x', /method: expected/],
  ['{"type":"request","id":"x","method":"gateway.ping","params":[]}', 'x', /params: expected/],
  ['{"type":"request","id":"x","method":"gateway.ping","params":"a"}', 'x', /params: expected/],
  ['{"type":"request","id":"x","method":"sessions.get","sessionKey":5}', 'x', /sessionKey: expected/],
  ['{"type":"request","id":"x","method":"sessions.get","sessionKey":""}', 'x', /sessionKey: expected/],
  ['{"type":"request","id":"x","method":"sessions.get","sessionKey":"a b"}', 'x', /sessionKey: expected/],
  ['{"type":"cancel"}', null, /id: expected/],
  ['{"type":"cancel","id":{}}', null, /id: expected/],
  ['{"type":"event"}', null, /event\.\w+: expected/],
  ['{"type":"event","id":"x","event":"a"}', 'x', /event.sessionKey: expected/],
  ['{"type":"event","id":"x","event":5,"sessionKey":"a"}', 'x', /event.event: expected/],
  ['{"type":"event","id":"x","event":"a","sessionKey":"a b"}', 'x', /event.sessionKey: expected/],
  ['{"type":"event","id":"x","event":"a","sessionKey":"a","payload":[]}', 'x', /event.payload: expected/],
]

t.test('a frame that makes no sense is answered with an error, and the connection lives on', async (t) => {
  const { connect } = await startApp(t)
  for (const [text, id, message] of BAD) {
    const socket = await connect()
    socket.send(text)
    const answer = await socket.next(isError)
    t.strictSame([...Value.Errors(ResponseFrame, answer)], [], text)
    t.match(answer, { id, result: null, error: { code: 'INVALID_REQUEST', message, retryable: false } }, text)
    t.ok(await socket.call('gateway.ping'), 'it lives')
    t.equal(socket.frames.filter(isError).length, 1, 'one answer')
    socket.socket.close()
  }
})

t.test('twenty bad frames are forgiven, the next one ends the connection with 4400', async (t) => {
  const { connect } = await startApp(t)
  const socket = await connect()
  for (let i = 0; i < 20; i++) socket.send(`not json ${i}`)
  t.ok(await socket.call('gateway.ping'))
  t.equal(socket.frames.filter(isError).length, 20)
  socket.send('{"type":"nonsense","id":"last"}')
  t.equal((await socket.closed).code, 4400)
  t.ok(
    socket.frames.some((frame) => frame.id === 'last'),
    'the last is answered as well',
  )
})

t.test('what a method refuses is not a bad frame, however often', async (t) => {
  const { connect } = await startApp(t)
  const socket = await connect()
  for (let i = 0; i < 50; i++) {
    t.match(await socket.refused('no.such'), { code: 'METHOD_NOT_FOUND' })
    t.match(await socket.refused('sessions.send', {}, 'a'), {
      code: 'INVALID_REQUEST',
      message: /^params\.content: expected /,
      details: { path: 'params.content' },
    })
  }
  t.ok(await socket.call('gateway.ping'))
})

t.test('bad frames before the hello are answered as well', async (t) => {
  const { open } = await startApp(t)
  const socket = await open()
  socket.send('nonsense')
  socket.send({ type: 'event', id: 'e1', event: 'a', sessionKey: 'b' })
  await socket.next((frame) => frame.id === 'e1')
  t.strictSame(
    socket.frames.map((frame) => [frame.id, frame.error.code]),
    [
      [null, 'INVALID_REQUEST'],
      ['e1', 'INVALID_REQUEST'],
    ],
  )
  t.equal((await socket.hello()).type, 'hello-ok')
})

t.test('keys such as __proto__ and constructor do no harm', async (t) => {
  const { connect } = await startApp(t)
  const socket = await connect()
  const poison =
    '"__proto__":{"polluted":true,"type":"request"},"constructor":{"prototype":{"polluted":true}}'
  socket.send(
    `{"type":"request","id":"a","method":"gateway.ping",${poison},"params":{"data":{${poison}},${poison}}}`,
  )
  t.match(await socket.next((frame) => frame.id === 'a'), { result: { pong: true } })
  socket.send(
    `{"type":"request","id":"b","method":"sessions.create","sessionKey":"__proto__","params":{"metadata":{${poison}}}}`,
  )
  t.match(await socket.next((frame) => frame.id === 'b'), { result: { session: { key: '__proto__' } } })
  socket.send(`{${poison}}`)
  t.match(await socket.next((frame) => frame.id === null), { error: { code: 'INVALID_REQUEST' } })
  for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
    t.match(await socket.refused(name), { code: 'METHOD_NOT_FOUND' })
    socket.send({ type: 'cancel', id: name })
    t.equal((await socket.call('gateway.ping', { data: name }, name)).data, name)
  }
  t.equal(({} as Record<string, unknown>).polluted, undefined)
})

t.test('a binary frame ends the connection with 1003', async (t) => {
  const { connect, open } = await startApp(t)
  const socket = await connect()
  socket.socket.send(Buffer.from('{"type":"request","id":"a","method":"gateway.ping"}'))
  t.equal((await socket.closed).code, 1003)
  const early = await open()
  early.socket.send(Buffer.alloc(0))
  t.equal((await early.closed).code, 1003)
})

t.test('a frame as large as allowed is taken, a larger one ends the connection with 1009', async (t) => {
  const { connect, app } = await startApp(t, { connection: { maxPayloadBytes: 10_000 } })
  const socket = await connect()
  const frame = (bytes: number) => {
    const text = JSON.stringify({ type: 'request', id: 'big', method: 'gateway.ping', params: { data: '' } })
    return text.replace('""', JSON.stringify('x'.repeat(bytes - text.length)))
  }
  socket.send(frame(10_000))
  t.match(await socket.next((answer) => answer.id === 'big'), { error: null })
  socket.send(frame(10_001))
  t.equal((await socket.closed).code, 1009)
  t.strictSame(app.connections.stats.closes, { TOO_BIG: 1 })

  const fragmented = await connect()
  for (let i = 0; i < 11; i++) fragmented.socket.send('x'.repeat(1000), { fin: i === 10 })
  t.equal((await fragmented.closed).code, 1009, 'in fragments as well')
})

t.test('a frame in fragments is one frame', async (t) => {
  const { connect } = await startApp(t)
  const socket = await connect()
  const text = '{"type":"request","id":"parts","method":"gateway.ping","params":{"data":"äöü€"}}'
  for (const [i, part] of [...text].entries()) socket.socket.send(part, { fin: i === [...text].length - 1 })
  t.equal((await socket.next((frame) => frame.id === 'parts')).result.data, 'äöü€')
})

t.test('text that is not UTF-8 ends the connection with 1007', async (t) => {
  const { connect } = await startApp(t)
  const socket = await connect()
  socket.socket.send(Buffer.from([0x22, 0xff, 0xfe, 0x22]), { binary: false })
  t.equal((await socket.closed).code, 1007)
})

t.test(
  'frames beyond the rate are answered RATE_LIMITED, and as many again end the connection',
  async (t) => {
    const { connect, app } = await startApp(t, { rateLimit: { frames: { max: 10, windowMs: 60_000 } } })
    const socket = await connect()
    for (let i = 0; i < 19; i++) socket.send({ type: 'request', id: `r${i}`, method: 'gateway.ping' })
    await socket.all(19, (frame) => frame.type === 'response')
    const answers = socket.frames.filter((frame) => frame.type === 'response')
    // The hello was one of the ten.
    t.strictSame(
      answers.map((frame) => frame.error?.code ?? 'OK'),
      [...Array(9).fill('OK'), ...Array(10).fill('RATE_LIMITED')],
    )
    t.match(answers[9], { id: 'r9', result: null, error: { retryable: true } })
    t.ok(answers[9]!.error.retryAfterMs > 0)
    t.equal(socket.socket.readyState, socket.socket.OPEN)
    socket.send('anything')
    t.equal((await socket.closed).code, 4429)
    t.equal(app.connections.stats.framesLimited, 11)
  },
)

t.test('pings count as frames: who sends too many gets no pong, then the end', async (t) => {
  const { connect } = await startApp(t, { rateLimit: { frames: { max: 10, windowMs: 60_000 } } })
  const socket = await connect()
  let pongs = 0
  socket.socket.on('pong', () => pongs++)
  for (let i = 0; i < 15; i++) socket.socket.ping()
  socket.send({ type: 'request', id: 'after', method: 'gateway.ping' })
  t.match(await socket.next((frame) => frame.id === 'after'), { error: { code: 'RATE_LIMITED' } })
  t.equal(pongs, 9)
  for (let i = 0; i < 5; i++) socket.socket.ping()
  t.equal((await socket.closed).code, 4429)
  t.equal(pongs, 9)
})
