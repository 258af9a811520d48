/** What the rows of a test say in the Test Anything Protocol, as pgTAP writes it. */
export interface TapResult {
  /** Assertions that hold, or that are marked `# TODO` or `# SKIP`. */
  passed: number
  /** What each assertion that does not hold says, with the diagnosis that follows it. */
  failed: string[]
  /** What is wrong with the whole: another number of assertions than planned. */
  problem: string | undefined
}

/** pgTAP refuses assertions before one of these. */
const PLANS = /\b(?:no_plan|plan|runtests|do_tap)\s*\(/i

/** Returns whether the SQL of a test makes assertions of pgTAP. */
export function usesTap(text: string): boolean {
  return PLANS.test(text)
}

/**
 * Reads the lines of the Test Anything Protocol (testanything.org). Returns undefined if there are
 * none.
 */
export function readTap(lines: string[]): TapResult | undefined {
  let planned: number | undefined
  let passed = 0
  const failed: string[] = []
  let isAfterFailure = false
  for (const line of lines) {
    const plan = /^1\.\.(\d+)/.exec(line)
    const [, not, , name = ''] = /^(not )?ok\b( \d+)?(?: -)? ?(.*)$/.exec(line) ?? []
    if (plan) planned = Number(plan[1])
    else if (/^(?:not )?ok\b/.test(line)) {
      isAfterFailure = not !== undefined && !/#\s*(?:todo|skip)\b/i.test(line)
      if (isAfterFailure) failed.push(name || 'an assertion without a name')
      else passed++
    } else if (/^Bail out!/i.test(line)) failed.push(line)
    else if (line.startsWith('#') && isAfterFailure) {
      failed.push(`${failed.pop()}\n${line.replace(/^#\s?/, '')}`)
    }
  }
  const ran = passed + failed.length
  if (planned === undefined && ran === 0) return undefined
  const isAsPlanned = planned === undefined || planned === ran
  const problem = isAsPlanned ? undefined : `${planned} assertions are planned, and ${ran} ran`
  return { passed, failed, problem }
}
