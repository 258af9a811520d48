import { command, GATEWAY_ARGS, JSON_ARG } from '../../command.ts'
import { changeTenant, readLabels } from './change.ts'

export default command({
  args: {
    id: { type: 'positional', required: true, description: 'the tenant' },
    ...GATEWAY_ARGS,
    ...JSON_ARG,
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
    await changeTenant(args, io, {
      path: '/admin/create-tenant',
      members,
      describe: ({ status, database }) => `${database} ${status === 'exists' ? 'exists' : 'is made'}`,
    })
    return undefined
  },
})
