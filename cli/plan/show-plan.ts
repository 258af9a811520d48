import { EXIT, type ExitCode } from '../command.ts'
import { deployForm, packArgument } from '../deploy-form.ts'
import type { FleetFields } from '../fleet/fields.ts'
import { send } from '../gateway/client.ts'
import { RequestFailed } from '../gateway/request-failed.ts'
import type { Target } from '../gateway/target.ts'
import type { Io } from '../io.ts'
import { busy } from '../terminal/busy.ts'
import { showWarnings, writeText } from '../terminal/show.ts'
import { printable, type Styles, styles } from '../terminal/style.ts'
import { type ChangedFile, changedFiles } from './changed-files.ts'
import { describeGroup, groupPlans, isEmpty } from './describe.ts'

/** What `plan`, and `migrate --dry-run`, are asked. */
export interface PlanCommand {
  target: Target
  platform: string
  /** The endpoint whose dry run it is. */
  path: '/migrate' | '/register'
  fields: FleetFields
  args: Record<string, unknown>
}

/**
 * Shows what a deploy would do: a dry run, and the difference to the code in place. Where data would be
 * lost, which is not allowed, it shows the plan with the losses all the same, and fails.
 */
export async function showPlan(command: PlanCommand, io: Io): Promise<ExitCode> {
  const { target, platform, path, fields, args } = command
  const packed = await packArgument(args, io)
  const ask = (more: Record<string, unknown> = {}) => {
    const body = deployForm(platform, packed, { ...args, ...more }, { ...fields, dry_run: 'true' })
    return busy('Trying it', args.json ? undefined : io, () => send(target, path, { body }))
  }
  let refused: RequestFailed | undefined
  const answer = await ask().catch((error) => {
    if (args.json || !isDataLoss(error)) throw error
    refused = error
    return ask({ allow: [args.allow, 'data_loss'].filter(Boolean).join(',') })
  })
  const { plan, warnings } = answer.json()
  const groups = groupPlans(plan)
  const hasWork = groups.some((group) => !isEmpty(group.plan))
  const code = args.check && !hasWork ? EXIT.nothing : EXIT.done
  if (args.json) {
    writeText(io, `${answer.text}\n`)
    return code
  }
  const style = styles(io.hasColor)
  for (const group of groups) io.out(`\n${describeGroup(group, style)}\n`)
  const told = new Set(groups.flatMap((group) => group.plan.warnings))
  showWarnings(
    io,
    warnings.filter((warning: string) => !told.has(warning)),
  )
  if (args.diff !== false && hasWork && plan.length > 0) {
    const files = await changedFiles(target, platform, plan[0].database, packed.archive)
    for (const file of files ?? []) io.out(`\n${describeFile(file, style)}\n`)
    if (!files)
      io.out(`\n${style.dim('No diff: the gateway does not show the archive in place')}\n`)
  }
  if (refused) throw refused
  return code
}

function isDataLoss(error: unknown): error is RequestFailed {
  return error instanceof RequestFailed && error.body.error === 'data_loss'
}

function describeFile({ path, kind, lines }: ChangedFile, style: Styles): string {
  const inks = { '+': style.green, '-': style.red, ' ': style.dim }
  const head = style.bold(`${printable(path)}  ${style.dim(kind)}`)
  const body = lines.map(({ kind, text }) => inks[kind](`  ${kind} ${printable(text)}`.trimEnd()))
  return [head, ...body].join('\n')
}
