import t from 'tap'
import { slackServer } from '../../helpers/slack-server.js'
import { connected } from './helpers.js'

t.test('files come in with their content, up to the limit', async (t) => {
  const { server, host } = await connected(t)
  const bytes = Buffer.from('hello')
  server.files.set('/files/a.txt', { type: 'text/plain', bytes })
  const file = { name: 'a.txt', mimetype: 'text/plain', permalink: 'https://lab.slack.com/files/a', size: 5 }
  const { acknowledged } = server.say({
    subtype: 'file_share',
    files: [
      { ...file, url_private: `${server.url}/files/a.txt` },
      { ...file, url_private: `${server.url}/files/a.txt`, size: 1_001 },
      { ...file, url_private: `${server.url}/files/none` },
      { mode: 'tombstone' },
    ],
  })
  await acknowledged
  const link = { type: 'text/plain', name: 'a.txt', url: 'https://lab.slack.com/files/a' }
  t.strictSame(host.received[0]!.attachments, [
    { type: 'text/plain', name: 'a.txt', data: bytes.toString('base64') },
    link,
    link,
    { type: 'application/octet-stream' },
  ])
})

t.test('a file without a stated size is not read past the limit', async (t) => {
  const { server, host } = await connected(t)
  server.files.set('/files/big', { type: 'image/png', bytes: Buffer.alloc(1_001) })
  await server.say({ files: [{ mimetype: 'image/png', url_private: `${server.url}/files/big` }] })
    .acknowledged
  t.strictSame(host.received[0]!.attachments, [{ type: 'image/png', url: `${server.url}/files/big` }])
})

t.test('a login page is not taken for the file, and the token goes nowhere else', async (t) => {
  const { server, host } = await connected(t)
  const elsewhere = await slackServer(t)
  elsewhere.files.set('/files/x', { type: 'text/plain', bytes: Buffer.from('x') })
  server.files.set('/files/login', { type: 'text/html', bytes: Buffer.from('<html>Sign in</html>') })
  server.files.set('/files/away', {
    type: 'text/plain',
    bytes: Buffer.alloc(0),
    redirect: `${elsewhere.url}/files/x`,
  })
  await server.say({
    files: [
      { mimetype: 'text/plain', url_private: `${server.url}/files/login` },
      { mimetype: 'text/plain', url_private: `${server.url}/files/away` },
      { mimetype: 'text/plain', url_private: `${elsewhere.url}/files/x` },
    ],
  }).acknowledged
  t.strictSame(
    host.received[0]!.attachments!.map(({ data }) => data),
    [undefined, undefined, undefined],
  )
  t.strictSame(elsewhere.fileRequests, [])
})

t.test('files go out together with their text, links as lines of it', async (t) => {
  const { server, host } = await connected(t)
  const data = Buffer.from('chart').toString('base64')
  await host.send({ peer: 'C1', thread: '1.2' }, 'Here', {
    attachments: [
      { type: 'image/png', name: 'chart.png', data },
      { type: 'text/html', name: 'Report', url: 'https://x.y/r' },
    ],
  })
  t.equal(server.uploads.get('F1')!.toString(), 'chart')
  const [shared] = server.shared
  t.match(shared, {
    channel_id: 'C1',
    thread_ts: '1.2',
    files: JSON.stringify([{ id: 'F1' }]),
    initial_comment: 'Here\nReport: https://x.y/r',
  })
  t.strictSame(server.posts, [])
})
