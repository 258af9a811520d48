import type { SchemaArchive } from '../../archive/archive.ts'
import { CODE_SECTIONS } from '../../archive/sections.ts'
import { someOf } from '../../common/shown.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { Ledger, LedgerFile, LedgerObject } from '../ledger/ledger.ts'
import { askedOf, findObjects } from '../objects/find.ts'
import { keyOfFound, keyOfMade, readNames } from '../objects/names.ts'
import type { KnownObject } from '../objects/object.ts'
import { classOf } from '../objects/object.ts'
import { hashOf } from '../objects/state.ts'
import type { Script } from '../run/run-file.ts'
import { readScripts } from '../run/run-file.ts'

/** The ledger as a deploy of the code sections sees it. */
export interface CodeLedger {
  ledger: Ledger
  /**
   * Functions that stay although no file of the archive creates them any more, by the path of the
   * file that created them. Undefined if such functions are dropped.
   */
  kept: ReadonlyMap<string, LedgerObject[]> | undefined
}

/** Functions that a warning names. */
const MAX_NAMES = 20

/**
 * A function that a file created, if the file's present statements do not show that it still
 * creates it.
 */
interface Candidate {
  path: string
  object: LedgerObject
}

/**
 * Returns the ledger for a deploy that drops no function. It leaves out files that the archive no
 * longer has, and functions that no file creates with the same signature.
 */
export async function keepCode(
  sql: Sql,
  ledger: Ledger,
  { files }: SchemaArchive,
): Promise<CodeLedger> {
  const scripts = await readScripts(CODE_SECTIONS.flatMap((section) => files[section]))
  const candidates = candidatesOf(ledger, scripts)
  const { stay, isNone } = await divide(sql, candidates, scripts)
  const kept = new Map<string, LedgerObject[]>()
  for (const { path, object } of stay) kept.set(path, [...(kept.get(path) ?? []), object])
  const left = new Map<string, Map<string, LedgerFile>>()
  for (const section of CODE_SECTIONS) {
    const there = new Set(files[section].map(({ name }) => name))
    const known = new Map<string, LedgerFile>()
    for (const [name, file] of ledger.filesOf(section)) {
      const objects = file.objects.filter((one) => !isNone.has(one))
      if (there.has(name)) known.set(name, { ...file, objects })
    }
    left.set(section, known)
  }
  const filesOf: Ledger['filesOf'] = (section) => left.get(section) ?? ledger.filesOf(section)
  return { ledger: { ...ledger, filesOf }, kept }
}

/**
 * Returns the functions that may have no file any more. A function of an unchanged file is not
 * among them if one of the file's statements still has the text that created it.
 */
function candidatesOf(ledger: Ledger, scripts: Script[]): Candidate[] {
  const byPath = new Map(scripts.map((script) => [script.file.path, script]))
  return CODE_SECTIONS.flatMap((section) =>
    [...ledger.filesOf(section)].flatMap(([name, { checksum, objects }]) => {
      const path = `${section}/${name}`
      const script = byPath.get(path)
      const routines = objects.filter(
        ({ kind }) => classOf(kind as KnownObject['kind']) === 'routine',
      )
      if (script?.file.checksum !== checksum) return routines.map((object) => ({ path, object }))
      const texts = new Set(script.statements.map(hashOf))
      const others = routines.filter(({ statement }) => statement && !texts.has(String(statement)))
      return others.map((object) => ({ path, object }))
    }),
  )
}

/**
 * Divides the candidates. `stay`: functions that exist and that the archive does not create.
 * `isNone`: these, and functions that no longer exist.
 */
async function divide(
  sql: Sql,
  candidates: Candidate[],
  scripts: Script[],
): Promise<{ stay: Candidate[]; isNone: Set<LedgerObject> }> {
  if (candidates.length === 0) return { stay: [], isNone: new Set() }
  const asked = candidates.map(({ object }) => askedOf(object as unknown as KnownObject))
  const candidateNames = new Set(asked.map(({ name }) => name))
  const made = scripts.flatMap(({ statements }) =>
    statements.flatMap(({ made }) => {
      const isAsked = made && classOf(made.kind) === 'routine' && candidateNames.has(made.name)
      return isAsked ? [made] : []
    }),
  )
  const [names, found] = await Promise.all([readNames(sql, made), findObjects(sql, asked)])
  const keys = new Set(made.map((one) => keyOfMade(one, names)))
  const stay: Candidate[] = []
  const isNone = new Set<LedgerObject>()
  for (const candidate of candidates) {
    const object = found.of(candidate.object as unknown as KnownObject)
    if (object && keys.has(keyOfFound(object))) continue
    isNone.add(candidate.object)
    if (object) stay.push(candidate)
  }
  return { stay, isNone }
}

/** Returns a warning that names the kept functions that still exist. */
export async function keptWarnings(sql: Sql, { kept }: CodeLedger): Promise<string[]> {
  if (!kept) return []
  const objects = [...kept.values()].flat() as unknown as KnownObject[]
  if (objects.length === 0) return []
  const found = await findObjects(sql, objects.map(askedOf))
  const names = objects.flatMap((one) => found.of(one)?.identity ?? []).sort()
  if (names.length === 0) return []
  return [
    `Functions that are no longer in any file of the archive were kept: ${someOf(names, MAX_NAMES)}`,
  ]
}
