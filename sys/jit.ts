/**
 * Compiles hot code as early as usual. The executable is built to put this off a thousandfold, for
 * the sake of the plugins; a process that lives for months wants it.
 */
export function compileHotCode(): void {
  Bun.unsafe.setJITPolicy(1)
}
