import { command } from '../../command.ts'
import { changeTenant, numberOf, ONE_TENANT } from './change.ts'

export default command({
  args: {
    ...ONE_TENANT,
    message: { type: 'string', description: 'what its calls are answered', valueHint: 'text' },
    'retry-after': { type: 'string', description: 'seconds of Retry-After', valueHint: 's' },
  },
  async run(args, io) {
    const seconds = args['retry-after']
    const members = {
      ...(args.message !== undefined && { message: args.message }),
      ...(seconds !== undefined && { retry_after_s: numberOf(seconds) }),
    }
    await changeTenant(args, io, {
      path: '/admin/suspend-tenant',
      members,
      describe: ({ database }) => `${database} is suspended: its calls are 503`,
    })
    return undefined
  },
})
