import t from 'tap'
import { isLoopbackHost } from '../../src/config/loopback.js'

t.test('what can only be this machine is loopback', async (t) => {
  for (const host of [
    '127.0.0.1',
    '127.255.0.3',
    '::1',
    '[::1]',
    '0:0:0:0:0:0:0:1',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    'localhost',
    'LOCALHOST',
  ]) {
    t.equal(isLoopbackHost(host), true, host)
  }
})

t.test('everything else is not, whatever it looks like', async (t) => {
  for (const host of [
    '',
    '0.0.0.0',
    '::',
    '128.0.0.1',
    '10.0.0.1',
    '::2',
    '::ffff:10.0.0.1',
    '127.1',
    '127.0.0.1.example.org',
    'localhost.example.org',
    'localhost:80',
    '[localhost]',
    '127.0.0.1:80',
  ]) {
    t.equal(isLoopbackHost(host), false, host)
  }
})
