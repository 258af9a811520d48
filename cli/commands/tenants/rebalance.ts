import { command, GATEWAY_ARGS, JSON_ARG } from '../../command.ts'
import type { Line } from '../../fleet/state.ts'
import { send } from '../../gateway/client.ts'
import { readTarget } from '../../gateway/target.ts'
import { megabytes, showTable, writeText } from '../../terminal/show.ts'

export default command({
  args: {
    by: {
      type: 'enum',
      options: ['databases', 'bytes', 'load'],
      description: 'what the servers are to have alike much of',
    },
    ...GATEWAY_ARGS,
    ...JSON_ARG,
  },
  async run(args, io) {
    const target = readTarget(args, io)
    const body = JSON.stringify({ dry_run: true, ...(args.by && { by: args.by }) })
    const answer = await send(target, '/admin/rebalance', { body })
    if (args.json) {
      writeText(io, `${answer.text}\n`)
      return undefined
    }
    const { moves } = answer.json()
    showTable(
      io,
      ['database', 'from', 'to', 'size'].map((title) => ({ title })),
      (moves as Line[]).map((one) => [one.database, one.from, one.to, megabytes(one.bytes)]),
      'no move is needed',
    )
    return undefined
  },
})
