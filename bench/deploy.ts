import { setMaxListeners } from 'node:events'
import { inspect, parseArgs } from 'node:util'
import { endedCpu, ownCpu } from './lib/cpu.ts'
import { describeAtOnceAim, measureAtOnce } from './lib/deploy/at-once.ts'
import { type Clinic, pack, pathsIn, readClinic } from './lib/deploy/clinic.ts'
import { migrate, register } from './lib/deploy/gateway.ts'
import { withLatency } from './lib/deploy/latency.ts'
import { assertAlike, findPsql, type Loop, prepareLoop } from './lib/deploy/psql.ts'
import {
  type Archives,
  describeAims,
  describeOne,
  describePercentAims,
  describeRound,
  describeRun,
  type Phase,
  type Round,
  type Row,
  type Single,
} from './lib/deploy/report.ts'
import { describeTemplate, describeTemplateAim, measureTemplate } from './lib/deploy/template.ts'
import { forEach, measure, median } from './lib/measure.ts'
import { type Rig, withGateway, withPostgres } from './lib/rig.ts'

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

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
