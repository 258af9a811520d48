import { defineHandler } from 'h3'
import { audited } from '../../lib/audit/audited.ts'
import { describeMigrate } from '../../lib/audit/outcomes.ts'
import { type FleetProgress, progressLines } from '../../lib/deploy/fleet/progress.ts'
import { type DatabaseResult, plansOf, summarize } from '../../lib/deploy/fleet/results.ts'
import { parseRevert, REVERT_MEMBERS } from '../../lib/deploy/older/revert-members.ts'
import { answerInSlices } from '../../lib/http/answer/json-slices.ts'
import { acceptsLines, streamLines } from '../../lib/http/answer/ndjson.ts'
import { readJsonObject } from '../../lib/http/body/body.ts'
import { nodeOf, originOf } from '../../lib/http/request.ts'
import { goToServersOf } from '../../lib/http/server-of.ts'
import { describeLabels } from '../../lib/tenancy/labels.ts'

export default defineHandler({
  meta: {
    description: 'Take the code of one database, or of all, back to an earlier archive',
    body: REVERT_MEMBERS,
    required: ['platform', 'checksum'],
    request: { platform: 'clinic', checksum: '0cbc175b9c0f1b6831e9c86c9d36ae2d' },
    answer: {
      status: 'completed',
      databases_updated: ['clinic_main'],
      migrations_applied: 0,
      checksum: '0cbc175b9c0f1b6831e9c86c9d36ae2d',
      warnings: [],
    },
    types: ['application/x-ndjson'],
    errors: ['not_found', 'database_not_found', 'revert_refused', 'function_deploy_failed'],
  },
  async handler(event) {
    const started = performance.now()
    const { request } = event.context
    const { req } = nodeOf(event)
    const body = await readJsonObject(event, REVERT_MEMBERS)
    const { scope, checksum, dryRun, onError, skip, labels, isTold } = parseRevert(request, body)
    const gateway = await goToServersOf(event, scope)
    const owner = await gateway.tenants.resolveScope(scope)

    const run = async (progress: FleetProgress = {}) => {
      const ended: DatabaseResult[] = []
      const results = await audited(event, {
        action: 'revert',
        owner,
        asked: {
          checksum,
          on_error: onError,
          ...(skip.length > 0 && { skip }),
          ...(Object.keys(labels).length > 0 && { label: describeLabels(labels) }),
          ...(dryRun && { dry_run: true }),
        },
        work: () =>
          gateway.deploys.revert({
            owner,
            checksum,
            dryRun,
            origin: originOf(request),
            onError,
            skip,
            labels,
            ...progress,
            onEnd: (result) => {
              ended.push(result)
              progress.onEnd?.(result)
            },
          }),
        describe: () => describeMigrate(ended),
      })
      const warnings = results.flatMap(({ result }) => result?.warnings ?? [])
      return {
        status: dryRun ? 'dry_run' : 'completed',
        ...(await summarize(results)),
        checksum,
        warnings: [...new Set(warnings)],
        ...(dryRun && { plan: await plansOf(results) }),
        execution_time_ms: Math.round(performance.now() - started),
      }
    }
    if (!acceptsLines(req)) return answerInSlices(await run())
    return streamLines(gateway.log, (write) => run(progressLines(write, isTold)))
  },
})
