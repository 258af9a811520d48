import { command, DATABASE_ARGS } from '../command.ts'
import { DEPLOY_ARGS, deployForm, packArgument } from '../deploy-form.ts'
import { commandAgain } from '../fleet/again.ts'
import { FLEET_ARGS, fleetFields } from '../fleet/fields.ts'
import { runFleet } from '../fleet/run-fleet.ts'
import { platformOf, readTarget } from '../gateway/target.ts'

export default command({
  args: {
    ...DEPLOY_ARGS,
    ...FLEET_ARGS,
    'dry-run': { type: 'boolean', description: 'show what would be done, as `plan` does' },
    'only-failed': {
      type: 'boolean',
      description:
        'only where the last deploy failed, or the last migrate of this schema did not come to',
    },
    ...DATABASE_ARGS,
  },
  async run(args, io) {
    const target = readTarget(args, io)
    const platform = platformOf(target)
    const fields = fleetFields(args, target)
    if (args['dry-run']) {
      const { showPlan } = await import('../plan/show-plan.ts')
      return showPlan({ target, platform, path: '/migrate', fields, args }, io)
    }
    const { folder } = args
    const packed = await packArgument(args, io)
    const only = args['only-failed'] ? 'failed' : undefined
    const body = deployForm(platform, packed, args, { ...fields, only, progress: 'true' })
    return runFleet(
      {
        target,
        platform,
        path: '/migrate',
        request: { body },
        again: commandAgain(folder === undefined ? ['migrate'] : ['migrate', folder], args),
        json: args.json === true,
      },
      io,
    )
  },
})
