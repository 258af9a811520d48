import type { UseSession } from '../../call/signatures/learn.ts'
import { send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { DeployParts } from '../parts.ts'
import type { DeployResult } from '../result.ts'

/** Reads signatures and verdicts after a deploy, on its session: see `tryToLearn`. */
export function learnFunctions(
  parts: DeployParts,
  sql: Sql,
  database: string,
  result: DeployResult,
): Promise<DeployResult['functions']> {
  const use: UseSession = async (work) => {
    // The session has the deploy's settings and role; functions are read with those of a call.
    const reset = send(sql.unsafe('reset all; reset role'))
    const [read] = await Promise.all([work(sql), reset])
    return read
  }
  return tryToLearn(parts, use, database, result)
}

/**
 * Reads signatures and verdicts of the functions after a deploy, so that the first call need not.
 * Returns undefined if that fails; the first call reads them then.
 * @param use runs work on a session in the state of a new one
 */
export async function tryToLearn(
  parts: DeployParts,
  use: UseSession,
  database: string,
  { look }: DeployResult,
): Promise<DeployResult['functions']> {
  try {
    return await parts.functions.learn(use, database, look)
  } catch (error) {
    parts.log.warn(`The functions of ${database} could not be read after its deploy`, {
      cause: (error as Error).message,
    })
    return undefined
  }
}
