import { command } from '../../command.ts'
import { changeTenant, ONE_TENANT } from './change.ts'

export default command({
  args: ONE_TENANT,
  async run(args, io) {
    await changeTenant(args, io, {
      path: '/admin/resume-tenant',
      members: {},
      describe: ({ database }) => `${database} is active`,
    })
    return undefined
  },
})
