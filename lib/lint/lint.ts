import { loadModule, type Node } from 'libpg-query'
import type { SchemaArchive, SchemaFile } from '../archive/archive.ts'
import { SECTIONS } from '../archive/sections.ts'
import { sqlName } from '../deploy/parser/names.ts'
import { leadingBlank } from '../deploy/parser/place.ts'
import { readStatement } from '../deploy/parser/read.ts'
import { splitStatements } from '../deploy/parser/split.ts'
import type { Statement } from '../deploy/parser/statement.ts'
import { hasDirectives, mayLoseData, readDirectives } from '../deploy/plan/directives.ts'
import { isWayBack } from '../deploy/plan/way-back.ts'
import { runnableText } from '../deploy/run/sql-text.ts'
import { isAllowed } from './allowed.ts'
import { ALONE } from './alter-table.ts'
import { type Finding, type Found, placed } from './finding.ts'
import { locksOf } from './locks.ts'
import { lossesOf } from './losses.ts'
import { madeTwice, type Script, untested } from './made.ts'
import { directiveFindings, orderFindings } from './order.ts'
import { bodyErrorIn, syntaxErrorIn } from './syntax.ts'
import { refusedInTransaction } from './transaction.ts'

/** Sections of which a deploy makes each object again, and refuses two makers. */
const CODE = ['views', 'functions', 'triggers', 'policies'] as const

/** Sections that run on tables with rows. */
const CHANGING = new Set(['migrations', 'seeders'])

/**
 * Reads a schema as a deploy reads it, without a server: what it would refuse, what may lose data or
 * takes long locks, names without order, and functions without tests.
 * @param tests the SQL files in tests/
 * @param since first migration whose losses and locks are of interest; undefined: all
 * @returns the findings in the order of a deploy
 */
export async function lint(
  { files }: SchemaArchive,
  tests: SchemaFile[],
  since?: string,
): Promise<Finding[]> {
  await loadModule()
  const { migrations } = files
  const isPast = pastOf(migrations, since)
  const names = new Set(migrations.map(({ name }) => name))
  const scripts = new Map<string, Script[]>()
  const findings = [...orderFindings(migrations), ...directiveFindings(migrations)]
  for (const section of SECTIONS.filter((one) => one !== 'extensions')) {
    const read = files[section]
      .filter((file) => section !== 'migrations' || !isWayBack(file, names))
      .map((file) => ({ file, statements: [] as Statement[], wrong: syntaxErrorIn(file) }))
    for (const script of read) {
      const { file, wrong } = script
      if (wrong) findings.push(placed(file, wrong))
      else script.statements = splitStatements(runnableText(file))
      const isWatched = CHANGING.has(section) && !isPast(file)
      findings.push(...(script.statements.length > 0 ? readScript(script, isWatched) : []))
    }
    scripts.set(section, read)
  }
  for (const file of tests) {
    const wrong = syntaxErrorIn(file)
    if (wrong) findings.push(placed(file, wrong))
  }
  const code = CODE.flatMap((section) => scripts.get(section) ?? [])
  const functions = scripts.get('functions') ?? []
  const all = [...findings, ...madeTwice(code), ...untested(functions, tests)]
  const order = [...SECTIONS.flatMap((section) => files[section]), ...tests]
  const places = new Map(order.map(({ path }, i) => [path, i]))
  return all.sort((a, b) => places.get(a.file)! - places.get(b.file)! || a.line - b.line)
}

function pastOf(migrations: SchemaFile[], since: string | undefined) {
  if (since === undefined) return () => false
  const at = migrations.findIndex(({ name }) => name.startsWith(since))
  const past = new Set(at < 0 ? [] : migrations.slice(0, at))
  return (file: SchemaFile) => past.has(file)
}

/** @param isWatched whether losses and locks are of interest */
function readScript({ file, statements }: Script, isWatched: boolean): Finding[] {
  const made = new Set<string>()
  const isNew = (relation: string) => made.has(relation.replace(/^.*?\.(?=")/, ''))
  const losesByLeave = mayLoseData(file)
  const isAlone = hasDirectives(file) && readDirectives(file).noTransaction
  let end = 0
  return statements.flatMap((statement) => {
    const { text, offset } = statement
    const before = file.text.slice(end, offset + leadingBlank(text))
    end = offset + text.length
    const { node } = readStatement(text)
    const found = node ? findingsIn(statement, node, isWatched ? isNew : undefined) : []
    if (node && !isAlone) found.push(...outsideOnly(node))
    for (const name of statement.facts.makes) made.add(sqlName({ relname: name }))
    return found
      .filter(({ rule }) => rule !== 'data-loss' || !losesByLeave)
      .filter(({ rule }) => !isAllowed(rule, before, file.text))
      .map((one) => placed(file, { ...one, offset: offset + (one.offset || leadingBlank(text)) }))
  })
}

/** @param isNew undefined: losses and locks are of no interest */
function findingsIn(
  statement: Statement,
  node: Node,
  isNew: ((relation: string) => boolean) | undefined,
): Found[] {
  const { refusal, text } = statement
  const wrong = bodyErrorIn(text, node)
  const refused: Found[] = refusal
    ? [{ rule: 'refused', offset: 0, message: refusal.split(/[.;:]( |$)/)[0]!, advice: refusal }]
    : []
  const risky = isNew ? [...lossesOf(statement, isNew), ...locksOf(node, isNew)] : []
  return [...(wrong ? [wrong] : []), ...refused, ...risky.map((one) => ({ ...one, offset: 0 }))]
}

function outsideOnly(node: Node): Found[] {
  const name = refusedInTransaction(node)
  if (name === undefined) return []
  const message = `${name} cannot run in the transaction of a deploy`
  return [{ rule: 'refused', offset: 0, message, advice: `Write it ${ALONE}, as a migration` }]
}
