import { type Deviation, of } from './deviation.ts'

const noVerb = { code: 3, msg: 'missing containerID' }
const tooNew = { code: 1, msg: 'incompatible CNI versions', details: /^config is "1\.1\.0", / }
const tooOld = { code: 1, msg: 'incompatible CNI versions', details: /^config is "0\.[12]\.0", / }

const environment: readonly Deviation[] = [
  {
    row: 'E1',
    of: ['Debian'],
    instead: 'says `version unknown`, and ends its list at 1.0.0',
    why: 'nerdctl reads the version out of the line and fails without one',
    observed: {
      about: /^CNI \S+ plugin version unknown$/,
      versions: /: 0\.1\.0, 0\.2\.0, 0\.3\.0, 0\.3\.1, 0\.4\.0, 1\.0\.0$/,
    },
  },
  {
    row: 'E1',
    of: of('bandwidth'),
    instead: 'its list begins at 0.3.0',
    why: 'one list for all plugins: a list of old version need not leave bandwidth out',
    observed: { versions: /: 0\.3\.0, 0\.3\.1, 0\.4\.0, 1\.0\.0(, 1\.1\.0)?$/ },
  },
  {
    row: 'E3',
    of: ['Debian'],
    instead: 'knows neither GC nor STATUS, and misses a container id before it says so',
    why: 'both are verbs of 1.1.0; rows G and T are not tried on it',
    observed: { GC: noVerb, STATUS: noVerb },
  },
  {
    row: 'E9',
    of: ['Debian'],
    instead: 'tells what is missing before what is invalid',
    why: 'the order of the newer skel',
    observed: {
      'bad id, no path': { code: 4, msg: 'required env variables [CNI_PATH] missing' },
      'no id, bad interface': { code: 4, msg: 'required env variables [CNI_CONTAINERID] missing' },
    },
  },
  {
    row: 'E10',
    of: ['Debian'],
    instead: 'answers code 3, `missing containerID`',
    why: 'libcni sets the variables empty',
    observed: { GC: noVerb, STATUS: noVerb },
  },
  {
    row: 'E12',
    of: ['Debian'],
    instead: 'does not look: it puts the interface into the host itself',
    why: 'a runtime that passes its own namespace must not be given a second route to the world',
    observed: { 'code 8': false, result: true, made: true },
  },
  {
    row: 'E12',
    of: ['Debian portmap', 'Debian bandwidth'],
    instead: 'does not look',
    why: 'as above',
    observed: { made: false },
  },
  {
    row: 'E12',
    of: ['Debian loopback'],
    instead: "does not look: its DEL takes the host's own loopback down",
    why: 'as above',
    observed: { DEL: 'ok', made: false },
  },
  {
    row: 'E12',
    of: ['1.9.1'],
    instead:
      'looks when ADD or DEL is done: the result is printed and the interface there, then comes the error',
    why: 'two JSON objects on standard output, and an ADD that failed but attached',
    observed: {
      result: true,
      made: true,
      DEL: { code: 8, msg: "plugin's netns and netns from CNI_NETNS should not be the same" },
    },
  },
  {
    row: 'E12',
    of: ['1.9.1 portmap', '1.9.1 bandwidth', '1.9.1 loopback'],
    instead: 'as 1.9.1, with nothing to be made',
    why: 'as above',
    observed: { made: false },
  },
]

const stdin: readonly Deviation[] = [
  {
    row: 'S1',
    of: ['Debian'],
    instead: 'a closed standard input is an I/O error, 5',
    why: 'Go of its time left it closed; now it is /dev/null, an empty configuration',
    observed: { closed: { code: 5, msg: /^error reading from stdin: .*bad file descriptor$/ } },
  },
  {
    row: 'S6',
    of: ['Debian'],
    instead: 'its list ends at 1.0.0',
    why: 'older',
    observed: {
      '9.9.9': { code: 1, msg: 'incompatible CNI versions', details: /"0\.4\.0" "1\.0\.0"\]$/ },
      foo: { code: 1, msg: 'incompatible CNI versions', details: /"0\.4\.0" "1\.0\.0"\]$/ },
    },
  },
  {
    row: 'S6',
    of: ['1.9.1 bandwidth'],
    instead: 'its list begins at 0.3.0',
    why: 'one list for all plugins',
    observed: {
      '9.9.9': { code: 1, msg: 'incompatible CNI versions', details: /supports \["0\.3\.0" / },
      foo: { code: 1, msg: 'incompatible CNI versions', details: /supports \["0\.3\.0" / },
    },
  },
  {
    row: 'S10',
    of: of('host-local'),
    instead: 'does not look at `type`',
    why: 'one form of the configuration for all our plugins',
    observed: { type: 'result' },
  },
  {
    row: 'V1',
    of: ['Debian'],
    instead: 'its list ends at 1.0.0',
    why: 'older',
    observed: {
      cniVersion: '1.0.0',
      supportedVersions: ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0'],
    },
  },
  {
    row: 'V1',
    of: ['Debian bandwidth'],
    instead: 'its list begins at 0.3.0',
    why: 'one list for all plugins',
    observed: { supportedVersions: ['0.3.0', '0.3.1', '0.4.0', '1.0.0'] },
  },
  {
    row: 'V1',
    of: ['1.9.1 bandwidth'],
    instead: 'its list begins at 0.3.0',
    why: 'one list for all plugins',
    observed: { supportedVersions: ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] },
  },
  {
    row: 'V3',
    of: ['Debian'],
    instead: 'refuses 1.1.0',
    why: 'older',
    observed: { '1.1.0': tooNew },
  },
  {
    row: 'V3',
    of: of('bandwidth'),
    instead: 'refuses 0.1.0 and 0.2.0',
    why: 'a prevResult of these has no interfaces, but ours finds the link by the namespace',
    observed: { '0.1.0': tooOld, '0.2.0': tooOld },
  },
]

/** Differences in rows E, S and V. */
export const protocolDeviations: readonly Deviation[] = [...environment, ...stdin]
