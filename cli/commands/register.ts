import { command, DATABASE_ARGS, SERVER_ARG } from '../command.ts'
import { DEPLOY_ARGS, deployForm, packArgument } from '../deploy-form.ts'
import { changesOf } from '../deploy-result.ts'
import { send } from '../gateway/client.ts'
import { databaseOf, nameOfDatabase } from '../gateway/database.ts'
import { platformOf, readTarget } from '../gateway/target.ts'
import { busy } from '../terminal/busy.ts'
import { showWarnings, writeText } from '../terminal/show.ts'
import { printable, styles } from '../terminal/style.ts'
import { count, duration, listed } from '../terminal/words.ts'

export default command({
  args: {
    ...DEPLOY_ARGS,
    'dry-run': { type: 'boolean', description: 'show what would be done, as `plan` does' },
    ...SERVER_ARG,
    ...DATABASE_ARGS,
  },
  async run(args, io) {
    const target = readTarget(args, io)
    const platform = platformOf(target)
    const fields = { ...databaseOf(args, target), server: args.server }
    if (args['dry-run']) {
      const { showPlan } = await import('../plan/show-plan.ts')
      return showPlan({ target, platform, path: '/register', fields, args }, io)
    }
    const packed = await packArgument(args, io)
    const body = deployForm(platform, packed, args, fields)
    const whose = [platform, nameOfDatabase(fields)].filter(Boolean).join(' / ')
    const answer = await busy(`Deploying to ${whose}`, args.json ? undefined : io, () =>
      send(target, '/register', { body }),
    )
    if (args.json) {
      writeText(io, `${answer.text}\n`)
      return undefined
    }
    const result = answer.json()
    const { bold, dim, green } = styles(io.hasColor)
    const what = result.superseded
      ? 'a newer archive is in place, which stays'
      : listed(
          [
            ...changesOf(result),
            result.seeders_applied > 0 && count(result.seeders_applied, 'seeder'),
          ],
          'nothing to do',
        )
    const took = dim(`(${duration(result.execution_time_ms)})`)
    io.out(`${green('✓')} ${bold(printable(result.database))} is ready: ${what} ${took}\n`)
    const own = new Set(packed.warnings)
    showWarnings(
      io,
      result.warnings.filter((warning: string) => !own.has(warning)),
    )
    return undefined
  },
})
