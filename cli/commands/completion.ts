import { command, UsageError } from '../command.ts'
import { completionOf, SHELLS } from '../completion.ts'

export default command({
  args: {
    shell: { type: 'positional', required: true, description: SHELLS.join(', ') },
  },
  async run({ shell }, io, commands) {
    const known = SHELLS.find((one) => one === shell)
    if (!known) throw new UsageError(`Unknown shell: ${shell}; it is one of ${SHELLS.join(', ')}`)
    io.out(await completionOf(known, commands))
    return undefined
  },
})
