import { CHECK_ARG, command, DATABASE_ARGS } from '../command.ts'
import { DEPLOY_ARGS } from '../deploy-form.ts'
import { FLEET_ARGS, fleetFields } from '../fleet/fields.ts'
import { platformOf, readTarget } from '../gateway/target.ts'
import { showPlan } from '../plan/show-plan.ts'

export default command({
  args: {
    ...DEPLOY_ARGS,
    all: FLEET_ARGS.all,
    label: FLEET_ARGS.label,
    skip: FLEET_ARGS.skip,
    diff: { type: 'boolean', default: true, description: 'show what changes in files of code' },
    ...CHECK_ARG,
    ...DATABASE_ARGS,
  },
  async run(args, io) {
    const target = readTarget(args, io)
    const platform = platformOf(target)
    const fields = fleetFields(args, target)
    return showPlan({ target, platform, path: '/migrate', fields, args }, io)
  },
})
