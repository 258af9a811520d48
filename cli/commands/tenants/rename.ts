import { command } from '../../command.ts'
import { changeTenant, MOVE_ARGS, ONE_TENANT, readTo } from './change.ts'

export default command({
  args: { ...ONE_TENANT, ...MOVE_ARGS },
  async run(args, io) {
    const members = { to: readTo(args), ...(args.hold && { hold: true }) }
    await changeTenant(
      args,
      io,
      '/admin/rename-tenant',
      members,
      ({ from, database }) => `${from.database} is renamed ${database}`,
      'Renaming',
    )
    return undefined
  },
})
