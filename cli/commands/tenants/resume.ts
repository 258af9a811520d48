import { command } from '../../command.ts'
import { changeTenant, ONE_TENANT } from './change.ts'

export default command({
  args: ONE_TENANT,
  async run(args, io) {
    await changeTenant(args, io, '/admin/resume-tenant', {}, ({ database }) => {
      return `${database} is active`
    })
    return undefined
  },
})
