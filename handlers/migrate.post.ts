import { defineHandler } from 'h3'
import { audited } from '../lib/audit/audited.ts'
import { describeForm, describeMigrate } from '../lib/audit/outcomes.ts'
import { type FleetProgress, progressLines } from '../lib/deploy/fleet/progress.ts'
import { type DatabaseResult, plansOf, summarize } from '../lib/deploy/fleet/results.ts'
import { answerInSlices } from '../lib/http/answer/json-slices.ts'
import { acceptsLines, streamLines } from '../lib/http/answer/ndjson.ts'
import { MIGRATE_FORM, readSchemaForm } from '../lib/http/body/schema-form.ts'
import { DEPLOY_ERRORS } from '../lib/http/endpoint-docs.ts'
import { nodeOf, originOf } from '../lib/http/request.ts'
import { goToServersOf } from '../lib/http/server-of.ts'
import { describeLabels } from '../lib/tenancy/labels.ts'

export default defineHandler({
  meta: {
    description: 'Deploy a schema to one database of a platform, or to all',
    form: MIGRATE_FORM.fields,
    required: ['platform', 'schema'],
    request: { platform: 'clinic', schema: '(the archive)' },
    answer: {
      status: 'completed',
      databases_updated: ['clinic_main'],
      migrations_applied: 1,
      functions_updated: 76,
      checksum: '0cbc175b9c0f1b6831e9c86c9d36ae2d',
      warnings: [],
      execution_time_ms: 3500,
    },
    types: ['application/x-ndjson'],
    errors: DEPLOY_ERRORS,
  },
  async handler(event) {
    const started = performance.now()
    const { gateway: main, request } = event.context
    const { req, res } = nodeOf(event)
    const { config, buffered } = main
    const read = await readSchemaForm(req, res, request, MIGRATE_FORM, config, buffered)
    const gateway = await goToServersOf(event, read.owner)
    const form = { ...read, owner: await gateway.tenants.resolveScope(read.owner) }

    const run = async (progress: FleetProgress = {}) => {
      const ended: DatabaseResult[] = []
      let newTenants: string[] = []
      const results = await audited(event, {
        action: 'migrate',
        owner: form.owner,
        asked: {
          ...describeForm(form),
          on_error: form.onError,
          ...(form.skip.length > 0 && { skip: form.skip }),
          ...(Object.keys(form.labels).length > 0 && { label: describeLabels(form.labels) }),
          ...(form.onlyFailed && { only: 'failed' }),
        },
        work: async () => {
          const asked = {
            ...form,
            older: 'deploy' as const,
            origin: originOf(request),
            ...progress,
            onEnd: (result: DatabaseResult) => {
              ended.push(result)
              progress.onEnd?.(result)
            },
          }
          const proven = await gateway.deploys.migrate(asked)
          newTenants = proven.warnings
          return proven.value
        },
        describe: () => describeMigrate(ended),
      })
      const warnings = results.flatMap(({ result }) => result?.warnings ?? [])
      return {
        status: form.flags.dryRun ? 'dry_run' : 'completed',
        ...(await summarize(results)),
        checksum: form.archive.checksum,
        warnings: [...form.archive.warnings, ...new Set(warnings), ...newTenants],
        ...(form.flags.dryRun && { plan: await plansOf(results) }),
        execution_time_ms: Math.round(performance.now() - started),
      }
    }
    if (!acceptsLines(req)) return answerInSlices(await run())
    return streamLines(gateway.log, (write) => run(progressLines(write, form.progress)))
  },
})
