import { command } from '../../command.ts'
import type { Line } from '../../fleet/state.ts'
import { labelsText, megabytes } from '../../terminal/show.ts'
import { duration, listed } from '../../terminal/words.ts'
import { changeTenant, MOVE_ARGS, ONE_TENANT, readNewLabels, readTo } from './change.ts'

export default command({
  args: {
    ...ONE_TENANT,
    ...MOVE_ARGS,
    label: {
      type: 'string',
      description: 'labels of the copy, with commas between; it has no others',
      valueHint: 'key:value',
    },
  },
  async run(args, io) {
    const members = {
      to: readTo(args),
      labels: readNewLabels(args.label),
      ...(args.hold && { hold: true }),
    }
    await changeTenant(args, io, {
      path: '/admin/clone-tenant',
      members,
      describe,
      doing: 'Copying',
    })
    return undefined
  },
})

function describe({ from, database, copied_bytes: bytes, held_ms: ms, labels }: Line): string {
  const about = listed(
    [megabytes(bytes), `calls were held for ${duration(ms)}`, labelsText(labels)],
    '',
  )
  return `${from.database} is copied to ${database}: ${about}`
}
