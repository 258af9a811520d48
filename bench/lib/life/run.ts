import { parseArgs } from 'node:util'
import { pack } from '../deploy/clinic.ts'
import { register } from '../deploy/gateway.ts'
import { findPsql, type Psql, prepareLoop } from '../deploy/psql.ts'
import { EXPECTED, FUNCTIONS, MIGRATIONS, platformFiles, untilReady } from '../deploy/template.ts'
import { type PostgresRig, type Rig, withGateway, withPostgres } from '../rig.ts'
import { machine, runBench } from '../run.ts'
import { measureLife } from './measure.ts'
import { describeLife, describeTemplate } from './report.ts'
import { gatewayWay, loopWay, PLATFORM, type Way } from './ways.ts'

const HELP = `Creates tenants, clones them and drops them, one after the other: through a gateway, beside psql.

npm run bench:tenants -- --life [options]

  --tenants 1000   how many, from 1 to 9999; 25 MB each in TMPDIR
  --psql PROGRAM   the psql to use, with createdb beside it
  --no-psql        without it
  --help
`

interface Options {
  tenants: number
  psql: Psql | undefined
}

/** `npm run bench:tenants -- --life`. */
export async function runLife(): Promise<void> {
  const options = await readOptions()
  if (options) await runBench((stopping) => main(options, stopping))
}

async function readOptions(): Promise<Options | undefined> {
  const { values } = parseArgs({
    options: {
      life: { type: 'boolean' },
      tenants: { type: 'string', default: '1000' },
      psql: { type: 'string' },
      'no-psql': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const isRight = /^[1-9]\d{0,3}$/.test(values.tenants)
  if (values.help || !isRight) {
    console.log(HELP)
    if (!values.help) process.exitCode = 2
    return undefined
  }
  const psql = values['no-psql'] ? undefined : await findPsql(values.psql)
  return { tenants: Number(values.tenants), psql }
}

async function main({ tenants, psql }: Options, stopping: AbortController): Promise<void> {
  console.log(
    `${machine()}, ${psql?.version ?? 'without psql'}. ${tenants} tenants, ` +
      `${MIGRATIONS} migrations and ${FUNCTIONS} functions, one tenant at a time.\n`,
  )
  await withPostgres(
    stopping,
    (postgres) =>
      withGateways(postgres, async (rig, fromFiles) => {
        const files = platformFiles()
        await register(rig, PLATFORM, 'first', await pack(files), EXPECTED)
        await untilReady(rig)
        const loop =
          psql && (await prepareLoop(rig, psql, { base: files, oneFunction: {}, release: {} }))
        const ways: Way[] = [gatewayWay(rig, 'template'), gatewayWay(fromFiles, 'files')]
        if (loop) ways.push(loopWay(loop))
        const measured = await measureLife(rig, ways, tenants)
        const [template, ...others] = measured
        console.log(describeLife(measured, loop && measured.at(-1)))
        console.log(`\n${describeTemplate(template!, others)}`)
      }),
    // Its work would fall on whichever way is measured at the moment.
    { autovacuum: 'off' },
  )
}

/** Two gateways on one PostgreSQL: one that copies templates, and one that runs the files. */
function withGateways<T>(
  postgres: PostgresRig,
  work: (template: Rig, files: Rig) => Promise<T>,
): Promise<T> {
  const env = { LOG_LEVEL: 'info', MAX_TOTAL_CONNECTIONS: '50' }
  return withGateway(postgres, { ...env, TEMPLATES: 'on' }, (template) =>
    withGateway(postgres, { ...env, TEMPLATES: 'off' }, (files) => work(template, files)),
  )
}
