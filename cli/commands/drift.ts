import { diffLines, withContext } from '../../lib/common/diff-lines.ts'
import { someOf } from '../../lib/common/shown.ts'
import { CHECK_ARG, command, EXIT, GATEWAY_ARGS, JSON_ARG } from '../command.ts'
import { send } from '../gateway/client.ts'
import { platformOf, readTarget } from '../gateway/target.ts'
import { writeText } from '../terminal/show.ts'
import { printable, styles } from '../terminal/style.ts'

const MAX_NAMES = 6

export default command({
  args: { ...CHECK_ARG, ...GATEWAY_ARGS, ...JSON_ARG },
  async run(args, io) {
    const target = readTarget(args, io)
    const answer = await send(target, '/admin/drift', {
      query: { platform: platformOf(target) },
      // It looks into each database.
      patienceMs: undefined,
    })
    const { summary, groups, unreachable } = answer.json()
    const hasDrift = groups.length > 0 || unreachable.length > 0
    const code = args.check && !hasDrift ? EXIT.nothing : EXIT.done
    if (args.json) {
      writeText(io, `${answer.text}\n`)
      return code
    }
    const { bold, dim, green, red, yellow } = styles(io.hasColor)
    const marks = { missing: red('-'), extra: green('+'), different: yellow('~') }
    const inks = { '-': red, '+': green, ' ': dim }
    for (const { databases, reference, differences } of groups) {
      io.out(
        `${bold(printable(someOf(databases, MAX_NAMES)))} ${dim(printable(`against ${reference}`))}\n`,
      )
      for (const { object, name, change, expected, actual } of differences) {
        io.out(
          `  ${marks[change as keyof typeof marks]} ${printable(`${object} ${name}`)} ${dim(printable(change))}\n`,
        )
        if (change !== 'different') continue
        for (const { kind, text } of withContext(diffLines(expected, actual))) {
          io.out(`${inks[kind](printable(`      ${kind} ${text}`))}\n`)
        }
      }
    }
    for (const { database, message } of unreachable) {
      io.out(`${red('✗')} ${printable(`${database}: ${message}`)}\n`)
    }
    io.out(`${hasDrift ? yellow(printable(summary)) : green(printable(summary))}\n`)
    return code
  },
})
