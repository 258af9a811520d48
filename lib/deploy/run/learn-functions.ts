import { send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { DeployParts } from '../parts.ts'
import type { DeployResult } from '../result.ts'

/**
 * Reads signatures and verdicts of the functions after a deploy, so that the first call need not.
 * Returns undefined if that fails; the first call reads them then.
 */
export async function learnFunctions(
  parts: DeployParts,
  sql: Sql,
  database: string,
  { look }: DeployResult,
): Promise<DeployResult['functions']> {
  try {
    const use = async <T>(work: (sql: Sql) => Promise<T>): Promise<T> => {
      // The session has the deploy's settings and role; functions are read with those of a call.
      const reset = send(sql.unsafe('reset all; reset role'))
      const [result] = await Promise.all([work(sql), reset])
      return result
    }
    return await parts.functions.learn(use, database, look)
  } catch (error) {
    parts.log.warn(`The functions of ${database} could not be read after its deploy`, {
      cause: (error as Error).message,
    })
    return undefined
  }
}
