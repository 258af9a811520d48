import { command, GATEWAY_ARGS, JSON_ARG, SERVER_ARG } from '../../command.ts'
import { changeTenant, LABEL_ARG, readNewLabels } from './change.ts'

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
    ...LABEL_ARG,
    ...SERVER_ARG,
    'if-not-exists': { type: 'boolean', description: 'a tenant that exists is no failure' },
  },
  async run(args, io) {
    const members = {
      deploy: args.deploy !== false,
      labels: readNewLabels(args.label),
      ...(args.server !== undefined && { server: args.server }),
      ...(args['if-not-exists'] && { if_exists: 'ok' }),
    }
    await changeTenant(args, io, {
      path: '/admin/create-tenant',
      members,
      describe: ({ status, database }) =>
        `${database} ${status === 'exists' ? 'exists' : 'is made'}`,
    })
    return undefined
  },
})
