import type { SchemaArchive } from '../../archive/archive.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Statement } from '../parser/statement.ts'
import { readScripts } from '../run/run-file.ts'
import type { FoundObjects } from './find.ts'
import type { FoundObject, KnownFile, KnownObject } from './object.ts'

/** Evidence that an object created by a code file now belongs to another section of the archive. */
export interface TakenOver {
  /** Next transaction id of the server when the deploy began; undefined if no other step ran. */
  since: bigint | undefined
  /** Statements of other sections that may create the object. */
  statements: Statement[]
}

const XIDS = 1n << 32n

/**
 * Returns whether an object was created or changed since then. Transaction ids wrap around at 32
 * bits, and ids more than half of that back are frozen.
 */
function isTouched({ version }: FoundObject, since: bigint): boolean {
  return version.split(' ').some((xid) => {
    const distance = (BigInt(xid) - since) & (XIDS - 1n)
    return BigInt(xid) >= FIRST_NORMAL_XID && distance < XIDS / 2n
  })
}

/** Lower ids are reserved, among them FrozenTransactionId (source: access/transam.h). */
const FIRST_NORMAL_XID = 3n

/**
 * Returns the statements of types/ and tables/, and of migrations that an earlier deploy committed
 * before it was interrupted.
 */
export async function otherStatements(
  { files }: SchemaArchive,
  { committedSince }: Ledger,
): Promise<Statement[]> {
  const migrations = files.migrations.filter(({ path }) => committedSince.has(path))
  const scripts = await readScripts([...files.types, ...files.tables, ...migrations])
  return scripts.flatMap(({ statements }) => statements)
}

/**
 * Removes from the ledger's objects those that no code file creates any more and that belong to
 * another section: another section creates them, or a step of this deploy has created or changed
 * them. Such objects must not be dropped.
 * @param mayLeave whether a file is gone or has changed
 * @param since see TakenOver
 * @param kept keys of the objects that code files create
 * @param others keys of the objects that other sections create
 * @returns the rest of the ledger, and a warning for each object that stays
 */
export function withoutTakenOver(
  known: ReadonlyMap<string, KnownFile>,
  found: FoundObjects,
  mayLeave: (path: string) => boolean,
  since: bigint | undefined,
  kept: ReadonlySet<string>,
  others: ReadonlySet<string>,
): { known: Map<string, KnownFile>; warnings: string[] } {
  const objectsOf = (keys: ReadonlySet<string>) =>
    new Set([...keys].flatMap((key) => found.byKey.get(key) ?? []))
  const keptObjects = objectsOf(kept)
  const otherObjects = objectsOf(others)
  const warnings: string[] = []
  const isTaken = (path: string, one: KnownObject) => {
    const object = mayLeave(path) ? found.of(one) : undefined
    if (!object || keptObjects.has(object)) return false
    const isOfThisDeploy = since !== undefined && isTouched(object, since)
    if (!isOfThisDeploy && !otherObjects.has(object)) return false
    warnings.push(
      `${path} no longer creates ${one.kind} ${one.identity}; it stays, because a migration, types/ or tables/ has created or changed it`,
    )
    return true
  }
  const rest = new Map(
    [...known].map(([path, file]) => [
      path,
      { ...file, objects: file.objects.filter((one) => !isTaken(path, one)) },
    ]),
  )
  return { known: rest, warnings }
}
