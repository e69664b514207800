import test from 'ava'
import { parseResolvConf, readResolvConf } from '../../ipam/resolv-conf.ts'

test('parseResolvConf() reads a simple file, indented or not', (t) => {
  const text = '\n\t\tnameserver 192.0.2.0\n\t\tnameserver 192.0.2.1\n\t\t'
  t.deepEqual(parseResolvConf(text), { nameservers: ['192.0.2.0', '192.0.2.1'] })
})

test('parseResolvConf() skips comments, unknown keywords and lines without a value', (t) => {
  const text = 'nameserver 192.0.2.0 x\n;nameserver 1\n#nameserver 2\nsortlist 3\ndomain\nsearch\n'
  t.deepEqual(parseResolvConf(text), { nameservers: ['192.0.2.0'] })
  t.deepEqual(parseResolvConf(''), {})
})

test('parseResolvConf() reads all fields', (t) => {
  const text = [
    'nameserver 192.0.2.0',
    'nameserver 192.0.2.2',
    'domain example.org',
    'domain example.com',
    'search example.net example.org',
    'search example.gov',
    'options one two three',
    'options four',
  ].join('\n')
  t.deepEqual(parseResolvConf(text), {
    nameservers: ['192.0.2.0', '192.0.2.2'],
    domain: 'example.com',
    search: ['example.net', 'example.org', 'example.gov'],
    options: ['one', 'two', 'three', 'four'],
  })
})

test('readResolvConf() throws the file system error for a file that cannot be read', (t) => {
  t.throws(() => readResolvConf('/nonexistent/resolv.conf'), { code: 'ENOENT' })
})
