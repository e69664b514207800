export default {
  files: ['test/unit/**/*.test.ts', 'test/contract/**/*.test.ts'],
  extensions: ['ts'],
  timeout: '2m',
}
