import { command, UsageError } from '../../command.ts'
import { labelsText } from '../../terminal/show.ts'
import { changeTenant, namedTenant, ONE_TENANT, readLabels } from './change.ts'

export default command({
  args: ONE_TENANT,
  takesMore: true,
  async run(args, io) {
    // With --schema and --uuid all arguments are labels.
    const { id, ...rest } = args
    const isOfSchema = args.schema !== undefined
    const words = isOfSchema && id !== undefined ? [id, ...args._] : args._
    const tenant = isOfSchema ? rest : args
    namedTenant(tenant)
    if (words.length === 0)
      throw new UsageError('Which labels? Give key:value, or key: to take one away')
    const labels = readLabels(words)
    await changeTenant(tenant, io, {
      path: '/admin/label-tenant',
      members: { labels },
      describe: (answer) => `${answer.database}: ${labelsText(answer.labels) || 'no label'}`,
    })
    return undefined
  },
})
