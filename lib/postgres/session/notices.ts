import { addPlan, MAX_PLAN_BYTES, type PlanSink } from './plans.ts'
import { isUnreplicated, unreplicated } from './unreplicated.ts'

/** Longest NoticeResponse in bytes that is read; a warning has the stack of functions in it. */
const MAX_BYTES = 16 * 1024

/** Whether the body of a NoticeResponse of this length is read. */
export function ofNotice(sink: PlanSink | undefined, length: number): 'take' | 'drop' {
  return length <= (sink ? MAX_PLAN_BYTES : MAX_BYTES) ? 'take' : 'drop'
}

/**
 * Reads the body of a NoticeResponse. Notices are not passed on, but for plans.
 * @throws {Error} COMMIT_UNREPLICATED, which ends the session
 */
export function takeNotice(
  sink: PlanSink | undefined,
  bytes: Buffer,
  start: number,
  end: number,
): void {
  if (isUnreplicated(bytes, start, end)) throw unreplicated()
  if (sink) addPlan(sink, bytes, start, end)
}
