/** A statement that auto_explain has told of. */
export interface Plan {
  /** Milliseconds that it took. */
  ms: number
  /** Its text and its plan, with the values that are in them. */
  text: string
}

/** Gets the plans that come with an answer, the longest statements first. */
export interface PlanSink {
  plans?: Plan[] | undefined
}

/** Longest message in bytes that is read as a plan. */
export const MAX_PLAN_BYTES = 32 * 1024

/** Number of statements of one call whose plans are kept: those that took longest. */
const MAX_PLANS = 5

/** How auto_explain begins its messages, whatever `lc_messages` is. */
const PLAN = /^duration: (\d+\.\d+) ms {2}plan:\n/

const MESSAGE = 0x4d // M

/** Reads the body of a NoticeResponse; adds its message to the plans if it is one. */
export function addPlan(sink: PlanSink, bytes: Buffer, start: number, end: number): void {
  const message = messageOf(bytes, start, end)
  const found = message && PLAN.exec(message)
  if (!found) return
  const plan = { ms: Number(found[1]), text: message.slice(found[0].length) }
  sink.plans = [...(sink.plans ?? []), plan].sort((a, b) => b.ms - a.ms).slice(0, MAX_PLANS)
}

function messageOf(bytes: Buffer, start: number, end: number): string | undefined {
  let at = start
  while (at < end && bytes[at] !== 0) {
    const to = bytes.indexOf(0, at + 1)
    if (to === -1 || to >= end) return undefined
    if (bytes[at] === MESSAGE) return bytes.toString('utf8', at + 1, to)
    at = to + 1
  }
  return undefined
}
