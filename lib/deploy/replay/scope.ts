import type { DeployRequest } from '../request.ts'

/**
 * Returns all of a request that a deploy's decisions come from, besides the state of the database;
 * undefined for requests that are never replayed.
 */
export function scopeOf({ owner, archive, older, flags }: DeployRequest): string | undefined {
  const { allow, losses, keepsCode, repair, retry, dryRun } = flags
  if (losses || keepsCode || repair || retry || dryRun || isLeftOut(older)) return undefined
  const { platform, schema } = owner
  return JSON.stringify([platform, schema, archive.checksum, [...allow].sort()])
}

/** A revert looks for what it may not touch; `whole` is for stored schemas, which keep code. */
function isLeftOut(older: DeployRequest['older']): boolean {
  return older === 'revert' || older === 'whole'
}
