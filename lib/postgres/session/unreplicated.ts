/**
 * PostgreSQL's routine that waits for synchronous standbys. It sends no message but the warning that
 * its wait has been cancelled: the transaction is committed there, and may be on no standby.
 */
const ROUTINE = 'SyncRepWaitForLSN'

/** The field with the routine within a NoticeResponse. */
const FIELD = Buffer.from(`\0R${ROUTINE}\0`)

/** Whether the body of a NoticeResponse is that warning; a text in it holds no zero byte. */
export function isUnreplicated(bytes: Buffer, start: number, end: number): boolean {
  return bytes.subarray(start, end).includes(FIELD)
}

/** Whether a notice that postgres.js has read is that warning. */
export function isUnreplicatedNotice(notice: { routine?: string }): boolean {
  return notice.routine === ROUTINE
}

/**
 * Returns the error that a session ends with after such a commit: what a failover may lose is not
 * acknowledged.
 */
export function unreplicated(): Error {
  const message = 'The commit was cancelled while it waited for a synchronous standby'
  return Object.assign(new Error(message), { code: 'COMMIT_UNREPLICATED' })
}
