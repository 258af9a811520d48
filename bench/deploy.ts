import { setMaxListeners } from 'node:events'
import { availableParallelism } from 'node:os'
import { inspect, parseArgs } from 'node:util'
import { describeAtOnceAim, measureAtOnce } from './lib/at-once.ts'
import { type Clinic, pack, pathsIn, readClinic } from './lib/clinic.ts'
import { endedCpu, ownCpu } from './lib/cpu.ts'
import { type Expected, migrate, register } from './lib/gateway.ts'
import { withLatency } from './lib/latency.ts'
import { forEach, type Measured, measure, median } from './lib/measure.ts'
import {
  assertAlike,
  findPsql,
  type Loop,
  type Psql,
  prepareLoop,
  STEPS,
  type Step,
} from './lib/psql.ts'
import { type Rig, withGateway, withPostgres } from './lib/rig.ts'
import { digits, table, times } from './lib/table.ts'
import { describeTemplate, describeTemplateAim, measureTemplate } from './lib/template.ts'

const HELP = `Deploys the example clinic to many databases, by a gateway and by a loop of psql.

npm run bench:deploy -- [options]

  --tenants 1,50,200   how many databases; a table for each
  --concurrency 8      MIGRATE_CONCURRENCY, and how many psql processes at once in the last column
  --repeat 9           how often the times of one database are taken, for their median
  --latency 0          how far away PostgreSQL is, in milliseconds there and back, for gateway and psql
  --psql /path/psql    the psql to use; without it the newest that is installed
  --no-psql            the gateway alone
  --no-tables          leaves tables/ out of the archive: psql does not compare them either
  --help
`

interface Options {
  tenants: number[]
  concurrency: number
  repeat: number
  latency: number
  psql: string | undefined
  noPsql: boolean
  noTables: boolean
}

interface Archives {
  base: Uint8Array
  oneFunction: Uint8Array
  release: Uint8Array
}

/** One row: the same work done by each. */
interface Row {
  phase: Phase
  gateway: Measured
  /** One psql after the other; undefined without psql. */
  loop: Measured | undefined
  /** Several psql processes at once. */
  loopAtOnce: Measured | undefined
}

interface Round {
  tenants: number
  rows: Row[]
}

interface Phase {
  name: string
  endpoint: '/register' | '/migrate'
  archive: keyof Archives
  step: Step
  expected: Expected
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

const PLATFORM = 'clinic'

await main()
// Whatever is still open by then is nothing that is measured.
setTimeout(() => process.exit(), 5000).unref()

/** Of the gateway. */
function settings(concurrency: number): Record<string, string> {
  return { LOG_LEVEL: 'warn', MIGRATE_CONCURRENCY: `${concurrency}` }
}

async function main(): Promise<void> {
  const options = readOptions()
  if (!options) return
  const stopping = new AbortController()
  setMaxListeners(0, stopping.signal)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (stopping.signal.aborted) return
      process.stderr.write(`\n${signal}: stopping the gateway and PostgreSQL …\n`)
      stopping.abort(new Error(signal))
    })
  }
  try {
    await run(options, stopping)
  } catch (error) {
    const { aborted, reason } = stopping.signal
    process.stderr.write(`${aborted ? (reason as Error).message : inspect(error)}\n`)
    process.exitCode = 1
  }
}

function readOptions(): Options | undefined {
  try {
    const { values } = parseArgs({
      options: {
        tenants: { type: 'string', default: '1,50,200' },
        concurrency: { type: 'string', default: '8' },
        repeat: { type: 'string', default: '9' },
        latency: { type: 'string', default: '0' },
        psql: { type: 'string' },
        'no-psql': { type: 'boolean', default: false },
        'no-tables': { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
    if (values.help) {
      process.stdout.write(HELP)
      return undefined
    }
    return {
      tenants: values.tenants.split(',').map((text) => wholeNumber('--tenants', text)),
      concurrency: wholeNumber('--concurrency', values.concurrency),
      repeat: wholeNumber('--repeat', values.repeat),
      latency: values.latency === '0' ? 0 : wholeNumber('--latency', values.latency),
      psql: values.psql,
      noPsql: values['no-psql'],
      noTables: values['no-tables'],
    }
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${HELP}`)
    process.exitCode = 2
    return undefined
  }
}

function wholeNumber(name: string, text: string): number {
  const value = /^\d{1,4}$/.test(text.trim()) ? Number(text) : 0
  if (value > 0) return value
  throw new Error(`${name}: "${text}" is not a whole number from 1 to 9999`)
}

async function run(options: Options, stopping: AbortController): Promise<void> {
  const { tenants, concurrency, repeat, latency } = options
  const psql = options.noPsql ? undefined : await findPsql(options.psql)
  const clinic = await readClinic(!options.noTables)
  const archives: Archives = {
    base: await pack(clinic.base),
    oneFunction: await pack(clinic.oneFunction),
    release: await pack(clinic.release),
  }
  const phases = phasesOf(clinic)
  say(describeRun(options, psql))

  const rounds: Round[] = []
  for (const count of tenants) {
    const rows = await withRig(settings(concurrency), latency, stopping, async (rig) => {
      const loop = psql && (await prepareLoop(rig, psql, clinic))
      await warmUp(rig, phases, archives, loop)
      return measureRound(rig, phases, archives, loop, count, concurrency)
    })
    rounds.push({ tenants: count, rows })
    say(`\n${describeRound(rounds.at(-1)!, concurrency)}`)
  }

  const measureSingle = async (rig: Rig): Promise<Measurement> => {
    await warmUp(rig, phases, archives, undefined)
    const measured = await measureOne(rig, phases, archives.base, repeat)
    const names = Array.from({ length: repeat }, (_, i) => `${i + 1}`)
    return { single: measured, atOnce: await measureAtOnce(rig, PLATFORM, names, archives.base) }
  }
  const { single, atOnce } = await withRig(settings(concurrency), latency, stopping, measureSingle)
  say(`\n${describeOne(single, repeat)}`)
  const tenant = await measureTemplate(stopping, repeat)
  say(`\n${describeTemplate(tenant)}`)
  const aims = [
    ...describeAims(rounds, latency),
    ...describePercentAims(single),
    describeAtOnceAim(atOnce),
    describeTemplateAim(tenant),
  ]
  say(`\nAims\n${aims.join('\n')}`)
}

/** PostgreSQL, so far away, and a gateway before it. */
function withRig<T>(
  env: Record<string, string>,
  latency: number,
  stopping: AbortController,
  work: (rig: Rig) => Promise<T>,
): Promise<T> {
  return withPostgres(stopping, (rig) =>
    withLatency(rig, latency, (near) => withGateway(near, env, work)),
  )
}

function phasesOf({ base }: Clinic): Phase[] {
  const migrations = pathsIn(base, 'migrations').length
  const functions = pathsIn(base, 'functions').length
  return [
    {
      name: 'first deploy',
      endpoint: '/register',
      archive: 'base',
      step: 'first',
      expected: { migrations, functions },
    },
    {
      name: 'unchanged, no connection open',
      endpoint: '/register',
      archive: 'base',
      step: 'unchanged',
      expected: { migrations: 0, functions: 0 },
    },
    {
      name: 'unchanged, connections open',
      endpoint: '/register',
      archive: 'base',
      step: 'unchanged',
      expected: { migrations: 0, functions: 0 },
    },
    {
      name: 'unchanged, connections open',
      endpoint: '/migrate',
      archive: 'base',
      step: 'unchanged',
      expected: { migrations: 0, functions: 0 },
    },
    {
      name: 'one function changed',
      endpoint: '/migrate',
      archive: 'oneFunction',
      step: 'oneFunction',
      expected: { migrations: 0, functions: 1 },
    },
    {
      name: `one migration plus ${functions} functions`,
      endpoint: '/migrate',
      archive: 'release',
      step: 'release',
      expected: { migrations: 1, functions },
    },
  ]
}

/** One database each, through all phases: a service that runs has had its first requests. */
async function warmUp(
  rig: Rig,
  phases: Phase[],
  archives: Archives,
  loop: Loop | undefined,
): Promise<void> {
  for (const phase of phases) {
    await byGateway(rig, phase, archives, 'warm_up', ['one'], 1)
    if (loop) await byLoop(loop, phase, ['warm_up_loop'], 1)
  }
  if (loop) await assertAlike(rig, ['warm_up_one', 'warm_up_loop'])
}

async function measureRound(
  rig: Rig,
  phases: Phase[],
  archives: Archives,
  loop: Loop | undefined,
  count: number,
  concurrency: number,
): Promise<Row[]> {
  const numbers = Array.from({ length: count }, (_, i) => `${i + 1}`.padStart(4, '0'))
  const gatewayCpu = () => ownCpu(rig.gatewayPid)
  const rows: Row[] = []
  for (const phase of phases) {
    const gateway = await measure(rig, gatewayCpu, () =>
      byGateway(rig, phase, archives, PLATFORM, numbers, concurrency),
    )
    // The loop has one way of finding that nothing has changed, the gateway three.
    const measured = rows.find((row) => row.phase.step === phase.step)
    const measureLoop = async (prefix: string, atOnce: number) => {
      const databases = numbers.map((number) => prefix + number)
      return loop && measure(rig, endedCpu, () => byLoop(loop, phase, databases, atOnce))
    }
    rows.push({
      phase,
      gateway,
      loop: measured ? measured.loop : await measureLoop('loop_', 1),
      loopAtOnce: measured ? measured.loopAtOnce : await measureLoop('at_once_', concurrency),
    })
  }
  if (loop) await assertAlike(rig, [`${PLATFORM}_${numbers[0]}`, `loop_${numbers[0]}`])
  return rows
}

async function byGateway(
  rig: Rig,
  { endpoint, archive, expected }: Phase,
  archives: Archives,
  platform: string,
  tenants: string[],
  atOnce: number,
): Promise<void> {
  if (endpoint === '/migrate') {
    return migrate(rig, platform, tenants.length, archives[archive], expected)
  }
  return forEach(tenants, atOnce, (tenant) =>
    register(rig, platform, tenant, archives[archive], expected),
  )
}

async function byLoop(
  loop: Loop,
  { step }: Phase,
  databases: string[],
  atOnce: number,
): Promise<void> {
  await forEach(databases, atOnce, (database) =>
    step === 'first' ? loop.first(database) : loop.again(step, database),
  )
}

/** Median milliseconds of one database, nothing else going on. */
interface Single {
  first: number
  /** Right after the deploy, which has closed its connection. */
  unchanged: number
  /** With a connection that is open. */
  again: number
}

/** What was measured of one database at a time, and of many requests at once, in seconds. */
interface Measurement {
  single: Single
  atOnce: number
}

async function measureOne(
  rig: Rig,
  [first, unchanged]: Phase[],
  archive: Uint8Array,
  repeat: number,
): Promise<Single> {
  const samples: Single[] = []
  for (let i = 1; i <= repeat; i++) {
    const time = async ({ expected }: Phase) => {
      const started = performance.now()
      await register(rig, PLATFORM, `${i}`, archive, expected)
      return performance.now() - started
    }
    samples.push({
      first: await time(first!),
      unchanged: await time(unchanged!),
      again: await time(unchanged!),
    })
  }
  return {
    first: median(samples.map((sample) => sample.first)),
    unchanged: median(samples.map((sample) => sample.unchanged)),
    again: median(samples.map((sample) => sample.again)),
  }
}

function describeRun({ concurrency, noTables, latency }: Options, psql: Psql | undefined): string {
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

function describeRound({ tenants, rows }: Round, concurrency: number): string {
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

function describeOne({ first, unchanged, again }: Single, repeat: number): string {
  return `One database, nothing else going on, median of ${repeat}
first deploy ${digits(first)} ms; unchanged ${digits(unchanged)} ms (${percent(unchanged, first)}); \
unchanged again, with a connection that is open, ${digits(again)} ms (${percent(again, first)})`
}

/** The aims are for 200 databases; the largest number that was measured stands for them. */
function describeAims(rounds: Round[], latency: number): string[] {
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

function describePercentAims({ first, unchanged, again }: Single): string[] {
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

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
