import { command, UsageError } from '../../command.ts'
import type { Line } from '../../fleet/state.ts'
import { findDatabase, nameOfDatabase } from '../../gateway/database.ts'
import { platformOf, readTarget } from '../../gateway/target.ts'
import { askText } from '../../terminal/ask.ts'
import { megabytes, minute } from '../../terminal/show.ts'
import { changeTenant, namedTenant, ONE_TENANT } from './change.ts'

export default command({
  args: {
    ...ONE_TENANT,
    confirm: {
      type: 'string',
      description: 'the name of its database, in the place of the question',
      valueHint: 'database',
    },
    dump: { type: 'boolean', default: true, description: 'dump the database before' },
    server: {
      type: 'string',
      description: 'drop what is left on the server that it was moved away from',
      valueHint: 'name',
    },
    'after-hours': { type: 'string', description: 'suspend it now, drop it then', valueHint: 'h' },
  },
  async run(args, io) {
    const named = namedTenant(args)
    const hours = args['after-hours']
    if (hours !== undefined && !/^\d+(\.\d+)?$/.test(hours)) {
      throw new UsageError(`--after-hours needs a number; got "${hours}"`)
    }
    const members = {
      confirm: args.confirm ?? (await askName()),
      ...(args.server !== undefined && { server: args.server }),
      ...(args.dump === false && { dump: false }),
      ...(hours !== undefined && { after_hours: Number(hours) }),
    }
    await changeTenant(args, io, { path: '/admin/drop-tenant', members, describe })
    return undefined

    async function askName(): Promise<string> {
      if (!io.mayAsk || args.json) {
        throw new UsageError('Give --confirm with the name of the database that is to be dropped')
      }
      const target = readTarget(args, io)
      const { name } = await findDatabase(target, platformOf(target), named)
      const problem = (text: string) =>
        text === name ? undefined : 'That is not the name of the database'
      return askText(
        `All data of ${nameOfDatabase(named)} goes. Type ${name} to drop it`,
        '',
        problem,
      )
    }
  },
})

function describe({ status, database, drop_at: at, dump }: Line): string {
  if (status === 'dropping') return `${database} is suspended, and dropped ${minute(at)} UTC`
  if (!dump) return `${database} is dropped, without a dump`
  const { file, size_bytes: bytes, kept_until: until } = dump
  return `${database} is dropped; ${file} (${megabytes(bytes)}) is kept until ${minute(until)} UTC`
}
