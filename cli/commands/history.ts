import { command, DATABASE_ARGS } from '../command.ts'
import { FLEET_ARGS } from '../fleet/fields.ts'
import type { Line } from '../fleet/state.ts'
import { send } from '../gateway/client.ts'
import { filterOf } from '../gateway/database.ts'
import { platformOf, readTarget } from '../gateway/target.ts'
import { firstCause } from '../terminal/failure.ts'
import { minute, showTable, writeText } from '../terminal/show.ts'
import { count, listed, short } from '../terminal/words.ts'

export default command({
  args: {
    limit: { type: 'string', description: 'how many; 20 by default, 1000 at most', valueHint: 'n' },
    all: FLEET_ARGS.all,
    ...DATABASE_ARGS,
  },
  async run(args, io) {
    const target = readTarget(args, io)
    const query = {
      platform: platformOf(target),
      ...filterOf(args, target),
      limit: args.limit ?? '20',
    }
    const answer = await send(target, '/admin/deployments', { query })
    if (args.json) {
      writeText(io, `${answer.text}\n`)
      return undefined
    }
    showTable(
      io,
      ['deployed', 'database', 'schema', 'status', 'what'].map((title) => ({ title })),
      answer
        .json()
        .deployments.map((one: Line) => [
          minute(one.deployed_at),
          one.database,
          short(one.archive_checksum),
          one.status,
          whatOf(one),
        ]),
      'no deploy yet',
    )
    return undefined
  },
})

function whatOf({ error, migrations_applied: migrations = [], ...one }: Line): string {
  if (error) {
    const place = error.file ? `${error.file}${error.line ? `:${error.line}` : ''} ` : ''
    return place + firstCause(String(error.cause ?? error.message))
  }
  const functions = one.functions_changed
  return listed(
    [
      migrations.length > 0 && count(migrations.length, 'migration'),
      typeof functions === 'number' && functions > 0 && count(functions, 'function'),
    ],
    '',
  )
}
