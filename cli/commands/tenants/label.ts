import { command, UsageError } from '../../command.ts'
import { labelsText } from '../../terminal/show.ts'
import { changeTenant, ONE_TENANT, readLabels } from './change.ts'

export default command({
  args: ONE_TENANT,
  takesMore: true,
  async run(args, io) {
    if (args._.length === 0)
      throw new UsageError('Which labels? Give key:value, or key: to take one away')
    const labels = readLabels(args._)
    await changeTenant(args, io, '/admin/label-tenant', { labels }, (answer) => {
      return `${answer.database}: ${labelsText(answer.labels) || 'no label'}`
    })
    return undefined
  },
})
