/** `performance.now()` when the time of a call that begins now is up; undefined: it has no limit. */
export function deadlineOf({ timeoutMs }: { timeoutMs?: number | undefined }): number | undefined {
  return timeoutMs === undefined ? undefined : performance.now() + timeoutMs
}
