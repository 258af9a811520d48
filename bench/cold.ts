import { parseArgs } from 'node:util'
import { coldFiles, functionName, measureCold } from './lib/call/cold.ts'
import { withGateway, withPostgres } from './lib/rig.ts'
import { machine, runBench } from './lib/run.ts'
import { createTenants } from './lib/tenants/tenants.ts'

const HELP = `Calls each function of each tenant after a restart of the gateway, twice, and tells what
the first call costs beside the second.

npm run bench:cold -- [options]

  --tenants 1000       how many; 8 MB each in TMPDIR
  --functions 20       of each tenant
  --at-once 20         tenants that are called at once, each over one connection
  --help
`

interface Options {
  tenants: number
  functions: number
  atOnce: number
}

const options = readOptions()
if (options) await runBench((stopping) => main(options, stopping))

function readOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      tenants: { type: 'string', default: '1000' },
      functions: { type: 'string', default: '20' },
      'at-once': { type: 'string', default: '20' },
      help: { type: 'boolean', default: false },
    },
  })
  const options = {
    tenants: Number(values.tenants),
    functions: Number(values.functions),
    atOnce: Number(values['at-once']),
  }
  if (!values.help && Object.values(options).every((value) => value > 0)) return options
  console.log(HELP)
  return undefined
}

async function main(options: Options, stopping: AbortController): Promise<void> {
  const { tenants, functions, atOnce } = options
  const names = Array.from({ length: functions }, (_, i) => functionName(i))
  // The gateway's own connections, and one for each tenant that is called.
  const settings = { LOG_LEVEL: 'info', MAX_TOTAL_CONNECTIONS: `${atOnce + 10}` }
  console.log(`${machine()}. ${tenants} tenants x ${functions} functions.\n`)
  await withPostgres(
    stopping,
    async (rig) => {
      await withGateway(rig, settings, (gateway) =>
        createTenants(gateway, tenants, coldFiles(names)),
      )
      await withGateway(rig, settings, (gateway) =>
        measureCold(gateway, { tenants, names, atOnce }),
      )
    },
    // Nothing that is measured writes, and what PostgreSQL does by itself would be counted.
    { fsync: 'off', autovacuum: 'off' },
  )
}
