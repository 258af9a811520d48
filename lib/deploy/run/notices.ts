import { excerpt } from '../../common/excerpt.ts'
import type { Notice } from '../../postgres/driver.ts'

const MAX_WARNINGS = 20

/** Ignored: the gateway sends ROLLBACK whether or not a transaction is open. */
const NO_ACTIVE_TRANSACTION = '25P01'

/**
 * Collects PostgreSQL's warnings for the response of a deploy, each text once. `hear` takes a
 * notice, `told` returns the warnings.
 */
export function collectWarnings(): { hear: (notice: Notice) => void; told: () => string[] } {
  const texts = new Set<string>()
  let more = 0
  return {
    hear: ({ severity, code, message }) => {
      if (severity !== 'WARNING' || code === NO_ACTIVE_TRANSACTION) return
      const text = `PostgreSQL: ${excerpt(message)}`
      if (texts.size < MAX_WARNINGS) texts.add(text)
      else if (!texts.has(text)) more++
    },
    told: () => (more > 0 ? [...texts, `PostgreSQL: ${more} more warnings`] : [...texts]),
  }
}
