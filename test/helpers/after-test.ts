const cleanups: (() => unknown)[] = []

/** Registers a clean-up to run after the test; the last one registered runs first. */
export function afterTest(cleanup: () => unknown): void {
  cleanups.push(cleanup)
}

/** Runs the clean-ups that are registered, which `test/setup/each-file.ts` does. */
export async function cleanUp(): Promise<void> {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
}
