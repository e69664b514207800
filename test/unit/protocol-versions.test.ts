import test from 'ava'
import {
  isAtLeast,
  readVersion,
  renderVersions,
  requireVerb,
  supportedVersions,
} from '../../cni/protocol/versions.ts'

test('readVersion takes every supported version, and 0.1.0 for none', (t) => {
  for (const version of supportedVersions) t.is(readVersion(version), version)
  t.is(readVersion(undefined), '0.1.0')
  t.is(readVersion(''), '0.1.0')
})

for (const text of ['9.9.9', 'foo', '1.0', '1.0.0 ']) {
  test(`readVersion refuses "${text}" in the words callers know`, (t) => {
    const error = t.throws(() => readVersion(text), {
      name: 'VersionError',
      message: 'incompatible CNI versions',
    })
    t.is(
      (error as unknown as { details: string }).details,
      `config is "${text}", plugin supports ["0.1.0" "0.2.0" "0.3.0" "0.3.1" "0.4.0" "1.0.0" "1.1.0"]`,
    )
  })
}

const refused: readonly [verb: 'CHECK' | 'GC' | 'STATUS', version: string, message: RegExp][] = [
  ['CHECK', '', /^config version does not allow CHECK$/],
  ['CHECK', '0.3.1', /^config version does not allow CHECK$/],
  ['GC', '1.0.0', /^config version does not allow GC$/],
  ['STATUS', '1.0.0', /^config version does not allow STATUS$/],
  ['CHECK', '2.0.0', /^plugin version does not allow CHECK$/],
  ['GC', '1.2.0', /^plugin version does not allow GC$/],
]
for (const [verb, version, message] of refused) {
  test(`requireVerb refuses ${verb} to version "${version}"`, (t) => {
    t.throws(() => requireVerb(verb, version), { name: 'VersionError', message })
  })
}

test('requireVerb counts what is no version as a decoding failure', (t) => {
  t.throws(() => requireVerb('CHECK', 'foo'), { name: 'CniError', code: 6 })
})

test('requireVerb allows each verb from the version it came with', (t) => {
  t.notThrows(() => requireVerb('CHECK', '0.4.0'))
  t.notThrows(() => requireVerb('GC', '1.1.0'))
  t.notThrows(() => requireVerb('STATUS', '1.1.0'))
})

test('isAtLeast compares numbers, not text', (t) => {
  t.true(isAtLeast('0.10.0', '0.9.0'))
  t.true(isAtLeast('1', '0.4.0'))
  t.false(isAtLeast('0.3.1', '0.4.0'))
  t.true(isAtLeast('1.0.0', '1.0.0'))
})

test('renderVersions lists all versions on one line', (t) => {
  t.is(
    renderVersions(),
    '{"cniVersion":"1.1.0","supportedVersions":["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}\n',
  )
})
