import { readEnvironment } from '../../lib/config.ts'
import type { Check } from '../../lib/doctor/check.ts'
import { examine } from '../../lib/doctor/doctor.ts'
import { command, EXIT, GATEWAY_ARGS, JSON_ARG } from '../command.ts'
import { checkGateway } from '../gateway/check-gateway.ts'
import { readTarget } from '../gateway/target.ts'
import { writeJson } from '../terminal/show.ts'
import { printable, type Styles, styles } from '../terminal/style.ts'
import { count } from '../terminal/words.ts'

export default command({
  args: {
    'database-url': {
      type: 'string',
      description: 'DATABASE_URL: the PostgreSQL server',
      valueHint: 'uri',
    },
    strict: { type: 'boolean', description: 'exit with 1 for warnings too' },
    url: GATEWAY_ARGS.url,
    ...JSON_ARG,
  },
  async run(args, io) {
    const env = readEnvironment(io.folder, io.env)
    const databaseUrl = args['database-url'] || env.DATABASE_URL
    const [checks, gateway] = await Promise.all([
      examine({ ...env, DATABASE_URL: databaseUrl }),
      checkGateway(readTarget(args, io)),
    ])
    const all = [...checks, ...gateway]
    const errors = all.filter(({ status }) => status === 'error').length
    const warnings = all.filter(({ status }) => status === 'warning').length
    if (args.json) writeJson(io, { errors, warnings, checks: all })
    else {
      const style = styles(io.hasColor)
      for (const one of all) io.out(`${describeCheck(one, style)}\n`)
      io.out(`\n${count(errors, 'error')}, ${count(warnings, 'warning')}\n`)
    }
    return errors > 0 || (args.strict && warnings > 0) ? EXIT.failed : EXIT.done
  },
})

function describeCheck({ name, status, message, advice }: Check, style: Styles): string {
  const { bold, dim, green, red, yellow } = style
  const mark = { ok: green('✓'), warning: yellow('!'), error: red('✗') }[status]
  const line = `${mark} ${bold(name)}  ${printable(message)}`
  return advice === undefined ? line : `${line}\n  ${dim('→')} ${printable(advice)}`
}
