import type { SchemaArchive } from '../../archive/archive.ts'
import { someOf } from '../../common/shown.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { Ledger, LedgerFile, LedgerObject } from '../ledger/ledger.ts'
import { askedOf, findObjects } from '../objects/find.ts'
import { classOf, type KnownObject } from '../objects/object.ts'
import { CODE_SECTIONS } from '../run/code.ts'
import { readScripts } from '../run/run-file.ts'

/** What a deploy of code goes by. */
export interface CodeLedger {
  ledger: Ledger
  /**
   * Functions that files made and that no file of the archive makes any more, by the path of the file;
   * they stay. Empty where such functions are dropped.
   */
  kept: ReadonlyMap<string, LedgerObject[]>
}

/** Names in a warning. */
const MAX_NAMES = 20

/**
 * The ledger of a deploy that drops no function: what came from files that are gone is unknown to it,
 * and so are functions of other files that go by no name of the archive. (Another signature under
 * the same name takes the place of the old one.)
 */
export async function keepCode(ledger: Ledger, { files }: SchemaArchive): Promise<CodeLedger> {
  const scripts = await readScripts(files.functions)
  const names = new Set(
    scripts.flatMap(({ statements }) => statements.flatMap(({ made }) => made?.name ?? [])),
  )
  const kept = new Map<string, LedgerObject[]>()
  const isKept = (one: LedgerObject) => {
    const known = one as unknown as KnownObject
    return classOf(known.kind) === 'routine' && !names.has(askedOf(known).name)
  }
  const left = new Map<string, Map<string, LedgerFile>>()
  for (const section of CODE_SECTIONS) {
    const there = new Set(files[section].map(({ name }) => name))
    const known = new Map<string, LedgerFile>()
    for (const [name, file] of ledger.filesOf(section)) {
      const stay = file.objects.filter(isKept)
      if (stay.length > 0) kept.set(`${section}/${name}`, stay)
      const objects = file.objects.filter((one) => !stay.includes(one))
      if (there.has(name)) known.set(name, { ...file, objects })
    }
    left.set(section, known)
  }
  const filesOf: Ledger['filesOf'] = (section) => left.get(section) ?? ledger.filesOf(section)
  return { ledger: { ...ledger, filesOf }, kept }
}

/** Names the functions that stay, of those that are still there. */
export async function keptWarnings(sql: Sql, { kept }: CodeLedger): Promise<string[]> {
  const objects = [...kept.values()].flat() as unknown as KnownObject[]
  if (objects.length === 0) return []
  const found = await findObjects(sql, objects.map(askedOf))
  const names = objects.flatMap((one) => found.of(one)?.identity ?? []).sort()
  if (names.length === 0) return []
  return [`Functions that are in no file of the archive any more stay: ${someOf(names, MAX_NAMES)}`]
}
