import type { Asker } from '../../lib/tenancy/names.ts'

/** Returns a request that may name every platform and has named none yet. */
export function newAsker(): Asker {
  return { address: '127.0.0.1', mayName: undefined, platform: undefined }
}
