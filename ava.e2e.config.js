// The tests that drive the built executables in namespaces of their own; as root, after scripts/build.
// HEDDLE_LONG_TESTS=1 adds those that take minutes.
const short = process.env.HEDDLE_LONG_TESTS ? [] : ['!test/e2e/**/*.long.e2e.ts']

export default {
  files: ['test/e2e/**/*.e2e.ts', 'test/conformance/**/*.e2e.ts', ...short],
  extensions: ['ts'],
  // One file at a time and one test at a time: they measure time and count packets.
  concurrency: 1,
  serial: true,
  workerThreads: false,
  timeout: '5m',
}
