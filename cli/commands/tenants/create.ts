import { command } from '../../command.ts'
import { changeTenant, ONE_TENANT, readLabels } from './change.ts'

export default command({
  args: {
    ...ONE_TENANT,
    deploy: {
      type: 'boolean',
      default: true,
      description: "with the platform's newest schema; --no-deploy makes an empty database",
    },
    label: { type: 'string', description: 'labels, with commas between', valueHint: 'key:value' },
    'if-not-exists': { type: 'boolean', description: 'a tenant that exists is no failure' },
  },
  async run(args, io) {
    const labels = readLabels(args.label?.split(',') ?? [])
    const members = {
      deploy: args.deploy !== false,
      labels,
      ...(args['if-not-exists'] && { if_exists: 'ok' }),
    }
    await changeTenant(args, io, '/admin/create-tenant', members, ({ status, database }) =>
      status === 'exists' ? `${database} exists` : `${database} is made`,
    )
    return undefined
  },
})
