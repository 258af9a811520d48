import type { Sql } from 'postgres'
import { readSchemaWithin } from '../../lib/call/signatures/read-schema.ts'
import { judge } from '../../lib/call/signatures/verdict/judge.ts'
import type { Verdict } from '../../lib/call/signatures/verdict/verdict.ts'

/** Returns the verdicts of all functions, by name, as the open transaction of `sql` sees them. */
export async function verdictsOf(sql: Sql): Promise<Map<string, Verdict>> {
  const { facts } = await readSchemaWithin(sql)
  const verdicts = await judge(facts!)
  const callable = facts!.functions.filter(({ signature }) => signature !== null)
  return new Map(callable.map(({ name }, i) => [name, verdicts[i]!]))
}

/** Returns the verdict of a function without overloads. */
export async function verdictOf(sql: Sql, name: string): Promise<Verdict> {
  const verdict = (await verdictsOf(sql)).get(name)
  if (!verdict) throw new Error(`There is no function ${name}`)
  return verdict
}
