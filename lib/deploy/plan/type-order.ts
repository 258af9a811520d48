import type { SchemaFile } from '../../archive/archive.ts'
import { parseScripts, type Script } from '../run/run-file.ts'

/** The files of types/, in two parts. */
export interface TypeOrder {
  /** Run before the migrations, as they are the types that migrations use. */
  before: SchemaFile[]
  /** Run behind the migrations: until then the types are what migrations make of them. */
  after: SchemaFile[]
  /** What the files declare that come first, by name alone. */
  names: Map<string, SchemaFile>
}

/**
 * types/ is the present, migrations are the past: what pending migrations create, or rename, becomes
 * what its file says once they have run. `isDeployed`: the file was in place before this deploy.
 */
export async function orderTypes(
  files: SchemaFile[],
  pending: Script[],
  archived: Script[],
  isDeployed: (file: SchemaFile) => boolean,
  isNew: boolean,
): Promise<TypeOrder> {
  const order: TypeOrder = { before: [], after: [], names: new Map() }
  const facts = pending.flatMap(({ statements }) => statements.map((one) => one.facts))
  const everMade = new Set(
    archived.flatMap(({ statements }) => statements.flatMap((one) => one.facts.makes)),
  )
  // In a new database a type cannot get its name from one that nothing makes.
  const isPossible = ({ unmakes }: { unmakes: string[] }) =>
    !isNew || unmakes.every((name) => everMade.has(name))
  const made = new Set(facts.filter(isPossible).flatMap(({ makes }) => makes))
  const renamed = new Set(
    facts.flatMap(({ enumChange, unmakes }) => [
      ...(enumChange && enumChange.renamed !== null ? [enumChange.name] : []),
      ...unmakes,
    ]),
  )
  for (const script of await parseScripts('type_deploy_failed', 'Type file', files)) {
    const names = script.statements.flatMap((one) => one.facts.makes)
    const isLater = names.some(
      (name) => made.has(name) || (renamed.has(name) && isDeployed(script.file)),
    )
    if (isLater) order.after.push(script.file)
    else order.before.push(script.file)
    if (!isLater) for (const name of names) order.names.set(name, script.file)
  }
  return order
}
