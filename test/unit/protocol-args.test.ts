import test from 'ava'
import { addressList, addressText, anyText, parseCniArgs } from '../../cni/protocol/args.ts'

const known = { IP: addressText, GATEWAY: addressList, MAC: anyText }

const good: readonly [text: string, pairs: Record<string, string>][] = [
  ['', {}],
  ['IP=10.0.0.5', { IP: '10.0.0.5' }],
  ['IP=10.0.0.5/24;MAC=0a:00:00:00:00:01', { IP: '10.0.0.5/24', MAC: '0a:00:00:00:00:01' }],
  ['IP=fd00::5', { IP: 'fd00::5' }],
  ['IgnoreUnknown=1;K8S_POD_NAME=a;IP=10.0.0.5', { IP: '10.0.0.5' }],
  ['K8S_POD_NAME=a;IgnoreUnknown=TRUE', {}],
  ['IgnoreUnknown=0', {}],
  ['MAC=', { MAC: '' }],
  ['IP=', { IP: '' }],
  ['GATEWAY=10.0.0.1,fd00::1', { GATEWAY: '10.0.0.1,fd00::1' }],
  ['MAC=a;MAC=b', { MAC: 'b' }],
]
for (const [text, pairs] of good) {
  test(`parseCniArgs reads "${text}"`, (t) => {
    t.deepEqual(Object.fromEntries(parseCniArgs(text, known)), pairs)
  })
}

const bad: readonly [text: string, message: string][] = [
  ['K8S_POD_NAME=a', 'ARGS: unknown args ["K8S_POD_NAME=a"]'],
  ['A=1;IP=10.0.0.5;B=2', 'ARGS: unknown args ["A=1" "B=2"]'],
  ['IgnoreUnknown=false;A=1', 'ARGS: unknown args ["A=1"]'],
  ['ip=10.0.0.5', 'ARGS: unknown args ["ip=10.0.0.5"]'],
  ['constructor=1', 'ARGS: unknown args ["constructor=1"]'],
  ['A=b=c', 'ARGS: invalid pair "A=b=c"'],
  ['IP=10.0.0.5;', 'ARGS: invalid pair ""'],
  ['IP', 'ARGS: invalid pair "IP"'],
  [
    'IgnoreUnknown=yes',
    'ARGS: error parsing value of pair "IgnoreUnknown=yes": boolean unmarshal error: invalid input yes',
  ],
  [
    'GATEWAY=10.0.0.1,x',
    'ARGS: error parsing value of pair "GATEWAY=10.0.0.1,x": invalid IP address x',
  ],
  ['IP=banana', 'ARGS: error parsing value of pair "IP=banana": invalid IP address banana'],
]
for (const [text, message] of bad) {
  test(`parseCniArgs refuses "${text}"`, (t) => {
    t.throws(() => parseCniArgs(text, known), { name: 'EnvError', message })
  })
}
