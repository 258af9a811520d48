import type { SchemaFile } from '../../archive/archive.ts'
import { parseScripts, type Script } from '../run/run-file.ts'

/**
 * The files of types/, divided into those that run before the migrations and those that run after.
 */
export interface TypeOrder {
  /** Files that run before the migrations, which may use their types. */
  before: SchemaFile[]
  /** Files that run after the migrations, which create or rename their types. */
  after: SchemaFile[]
  /** Type names, without schema, of the files in `before`. */
  names: Map<string, SchemaFile>
}

/**
 * Divides the files of types/. A file describes the final state of its types, so it runs after
 * pending migrations that create or rename one of them.
 * @param isDeployed whether the file was in place before this deploy
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
  // In a new database a rename has no effect if no migration ever creates the old name.
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
