import type { SchemaArchive } from '../../archive/archive.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Statement } from '../parser/statement.ts'
import { readScripts } from '../run/run-file.ts'
import type { FoundObjects } from './find.ts'
import type { FoundObject, KnownFile, KnownObject } from './object.ts'

/** What tells that something which a file of code made belongs to another section by now. */
export interface TakenOver {
  /** The transaction id that the server was to give next when the deploy began; undefined: nothing ran. */
  since: bigint | undefined
  /** Statements of other sections that may make it. */
  statements: Statement[]
}

const XIDS = 1n << 32n

/**
 * Whether an object has been made or changed since then. Transaction ids go round in 32 bits; what is older than
 * half of that has none any more.
 */
function isTouched({ version }: FoundObject, since: bigint): boolean {
  return version.split(' ').some((xid) => {
    const distance = (BigInt(xid) - since) & (XIDS - 1n)
    return BigInt(xid) >= FIRST_NORMAL_XID && distance < XIDS / 2n
  })
}

/** Those below stand for what is older than any transaction (source, transam.h: FirstNormalTransactionId). */
const FIRST_NORMAL_XID = 3n

/** The statements of types/, tables/ and of migrations that a deploy before this one committed and did not end. */
export async function otherStatements(
  { files }: SchemaArchive,
  { committedSince }: Ledger,
): Promise<Statement[]> {
  const migrations = files.migrations.filter(({ path }) => committedSince.has(path))
  const scripts = await readScripts([...files.types, ...files.tables, ...migrations])
  return scripts.flatMap(({ statements }) => statements)
}

/**
 * What the ledger has, without what no file of code makes any more and another section does, or a
 * step of this deploy has made or changed: that is nobody's to drop.
 * @param mayLeave whether the file is gone or has changed
 * @param since as in TakenOver
 * @param kept what files of code make
 * @param others what other sections make
 * @returns the rest, and warnings of what stays
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
      `${path} does not make ${one.kind} ${one.identity} any more; it stays, since a migration, types/ or tables/ has made or changed it`,
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
