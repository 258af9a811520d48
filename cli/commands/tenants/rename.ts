import { command } from '../../command.ts'
import { changeTenant, MOVE_ARGS, ONE_TENANT, readTo } from './change.ts'

export default command({
  args: { ...ONE_TENANT, ...MOVE_ARGS },
  async run(args, io) {
    const members = { to: readTo(args), ...(args.hold && { hold: true }) }
    await changeTenant(args, io, {
      path: '/admin/rename-tenant',
      members,
      describe: ({ from, database }) => `${from.database} is renamed ${database}`,
      doing: 'Renaming',
    })
    return undefined
  },
})
