import type { Backend } from './backend.ts'
import type { Commands } from './commands.ts'

/**
 * The backend with all that its lease is to tell: where a command makes the lease's data, it is run.
 * @throws CommandError
 */
export async function prepareBackend(
  backend: Backend,
  commands: Commands,
  signal: AbortSignal,
): Promise<Backend> {
  const { prepare, leaseData } = backend.commands ?? {}
  if (!prepare || !leaseData) return backend
  return { ...backend, leaseData: leaseData(await commands.outputOf(prepare, signal)) }
}
