/** Takes a step of several that do not depend on each other; what it throws is noted for the end. */
export function attempt<T>(failures: unknown[], step: () => T): T | undefined {
  try {
    return step()
  } catch (error) {
    failures.push(error)
    return undefined
  }
}
