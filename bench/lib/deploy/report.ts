import { availableParallelism } from 'node:os'
import type { Measured } from '../measure.ts'
import { digits, table, times } from '../table.ts'
import type { Expected } from './gateway.ts'
import { type Psql, STEPS, type Step } from './psql.ts'

/** The archives of the phases, packed. */
export interface Archives {
  base: Uint8Array
  oneFunction: Uint8Array
  release: Uint8Array
}

/** How many times faster than the loop the gateway is meant to be, by the step. */
const AIMS: Partial<Record<Step, number>> = { unchanged: 20, release: 2.5 }
/** Of a release where PostgreSQL is far away. */
const AIM_FAR = 4
/** CPU of a release: of PostgreSQL, as a multiple of the loop's; of the gateway, milliseconds a database. */
const AIM_SERVER_CPU = 1.5
const AIM_CLIENT_CPU_MS = 8
const AIM_PERCENT = 5
const AIM_PERCENT_OPEN = 0.5

/** One row: the same work done by each. */
export interface Row {
  phase: Phase
  gateway: Measured
  /** One psql after the other; undefined without psql. */
  loop: Measured | undefined
  /** Several psql processes at once. */
  loopAtOnce: Measured | undefined
}

/** All phases over so many tenants. */
export interface Round {
  tenants: number
  rows: Row[]
}

/** What is measured: one step of a platform's life. */
export interface Phase {
  name: string
  endpoint: '/register' | '/migrate'
  archive: keyof Archives
  step: Step
  expected: Expected
}

/** Median milliseconds of one database, nothing else going on. */
export interface Single {
  first: number
  /** Right after the deploy, which has closed its connection. */
  unchanged: number
  /** With a connection that is open. */
  again: number
}

/** What the run is of. */
export interface RunOptions {
  concurrency: number
  /** How far away PostgreSQL is, in milliseconds there and back. */
  latency: number
  noTables: boolean
}

export function describeRun(
  { concurrency, noTables, latency }: RunOptions,
  psql: Psql | undefined,
): string {
  const where = `${availableParallelism()} cores, Node ${process.versions.node}`
  const tables = noTables ? 'without tables/' : 'with tables/, which it compares'
  const gateway = `The gateway (MIGRATE_CONCURRENCY=${concurrency}), ${tables}.
  /register: a request for each database, ${concurrency} at once
  /migrate: one request`
  const far = latency > 0 ? `, PostgreSQL ${latency} ms away` : ''
  if (!psql) return `${where}${far}, no psql.\n${gateway}`
  return `${where}${far}, ${psql.version} (${psql.program}).
${gateway}
The loop, one database after the other, and ${concurrency} at once. Each in one transaction, without checks of
function bodies, of lost data, and of tables.
  first deploy           ${STEPS.first}
  unchanged              ${STEPS.unchanged}
  one function changed   ${STEPS.oneFunction}
  one migration plus …   ${STEPS.release}`
}

export function describeRound({ tenants, rows }: Round, concurrency: number): string {
  const loops = `psql x${concurrency}`
  const speed = (measured: Measured | undefined) => [
    digits(measured?.seconds),
    digits(measured && tenants / measured.seconds),
  ]
  const all = ({ gateway, loop, loopAtOnce }: Row) => [gateway, loop, loopAtOnce]
  const seconds = table([
    [countOf(tenants), 'gateway', '', 'psql', '', loops, '', 'faster than', ''],
    ['', 's', 'db/s', 's', 'db/s', 's', 'db/s', 'psql', loops],
    ...rows.map((row) => [
      nameOf(row.phase),
      ...all(row).flatMap(speed),
      times(faster(row.loop, row.gateway)),
      times(faster(row.loopAtOnce, row.gateway)),
    ]),
  ])
  const cpu = table([
    ['CPU seconds', 'client', '', '', 'PostgreSQL', '', ''],
    ['', 'gateway', 'psql', loops, 'gateway', 'psql', loops],
    ...rows.map((row) => [
      nameOf(row.phase),
      ...all(row).map((measured) => digits(measured?.clientCpu)),
      ...all(row).map((measured) => digits(measured?.serverCpu)),
    ]),
  ])
  return `${seconds}\n\n${cpu}`
}

function nameOf({ name, endpoint }: Phase): string {
  return `${name} (${endpoint})`
}

function countOf(tenants: number): string {
  return tenants === 1 ? '1 database' : `${tenants} databases`
}

function faster(other: Measured | undefined, gateway: Measured): number | undefined {
  return other && other.seconds / gateway.seconds
}

export function describeOne({ first, unchanged, again }: Single, repeat: number): string {
  return `One database, nothing else going on, median of ${repeat}
first deploy ${digits(first)} ms; unchanged ${digits(unchanged)} ms (${percent(unchanged, first)}); \
unchanged again, with a connection that is open, ${digits(again)} ms (${percent(again, first)})`
}

/** The aims are for 200 databases; the largest number that was measured stands for them. */
export function describeAims(rounds: Round[], latency: number): string[] {
  const { rows, tenants } = rounds.toSorted((a, b) => b.tenants - a.tenants)[0]!
  const speeds = rows.flatMap(({ phase, gateway, loop }) => {
    const aim = phase.step === 'release' && latency > 0 ? AIM_FAR : AIMS[phase.step]
    if (aim === undefined) return []
    const actual = faster(loop, gateway)
    const verdict = actual === undefined ? 'not measured' : verdictOn(actual >= aim)
    return `${nameOf(phase)} over ${countOf(tenants)} at least ${aim} times faster than the loop: ${times(actual)} ${verdict}`
  })
  const { phase, gateway, loop } = rows.at(-1)!
  const clientMs = (1000 * gateway.clientCpu) / tenants
  const serverCpu = loop && gateway.serverCpu / loop.serverCpu
  const ofServer = serverCpu === undefined ? 'not measured' : verdictOn(serverCpu <= AIM_SERVER_CPU)
  return [
    ...speeds,
    `${nameOf(phase)}, CPU of PostgreSQL at most ${AIM_SERVER_CPU} times the loop's: ${times(serverCpu)} ${ofServer}`,
    `${nameOf(phase)}, CPU of the gateway below ${AIM_CLIENT_CPU_MS} ms a database: ${digits(clientMs)} ms ${verdictOn(clientMs < AIM_CLIENT_CPU_MS)}`,
  ]
}

export function describePercentAims({ first, unchanged, again }: Single): string[] {
  const describe = (what: string, ms: number, aim: number) =>
    `unchanged /register ${what} under ${aim} % of a first deploy: ${percent(ms, first)} ${verdictOn((100 * ms) / first < aim)}`
  return [
    describe('without a connection', unchanged, AIM_PERCENT),
    describe('with an open one', again, AIM_PERCENT_OPEN),
  ]
}

function verdictOn(isReached: boolean): string {
  return isReached ? 'ok' : 'missed'
}

function percent(part: number, whole: number): string {
  return `${((100 * part) / whole).toFixed(1)} %`
}
