const given = process.env['HEDDLE_FUZZ_SEED']
const isLong = process.env['HEDDLE_LONG_TESTS'] !== undefined

/**
 * What the fuzz tests begin with: the one given; in the long runs a new one each time; else always
 * the same, so that a change is not held up by what another one brought in.
 */
export const seed = Number(given ?? (isLong ? Date.now() % 2 ** 31 : 20261121))
