import { defineHandler } from 'h3'
import { audited } from '../lib/audit/audited.ts'
import { describeForm, describeRegister } from '../lib/audit/outcomes.ts'
import { incompatibleChanges } from '../lib/deploy/fleet/results.ts'
import { functionsChanged, toPlan } from '../lib/deploy/result.ts'
import { REGISTER_FORM, readSchemaForm } from '../lib/http/body/schema-form.ts'
import { DEPLOY_ERRORS } from '../lib/http/endpoint-docs.ts'
import { nodeOf, originOf } from '../lib/http/request.ts'
import { goToServerFor, makeThere, ownServerField } from '../lib/http/server-of.ts'
import { databaseName } from '../lib/tenancy/names.ts'

export default defineHandler({
  meta: {
    description:
      'Create the database of a platform or tenant if it is missing, and deploy its schema',
    form: REGISTER_FORM.fields,
    required: ['platform', 'schema'],
    request: { platform: 'clinic', schema: '(the archive)' },
    answer: {
      status: 'ready',
      database: 'clinic_main',
      migrations_applied: 3,
      functions_deployed: 76,
      checksum: '0cbc175b9c0f1b6831e9c86c9d36ae2d',
      warnings: [],
      execution_time_ms: 1250,
    },
    errors: DEPLOY_ERRORS,
  },
  async handler(event) {
    const started = performance.now()
    const { gateway: main, request } = event.context
    const { req, res } = nodeOf(event)
    const { config, buffered } = main
    const asked = await readSchemaForm(req, res, request, REGISTER_FORM, config, buffered)
    const { server, flags } = asked
    const wanted = { owner: asked.owner, server, labels: {}, isRecorded: !flags.dryRun }
    const { tenants } = await goToServerFor(event, wanted)
    const form = { ...asked, owner: await tenants.resolve(asked.owner) }
    const database = databaseName(form.owner)
    request.database = database
    const result = await audited(event, {
      action: 'register',
      owner: form.owner,
      asked: describeForm(form),
      work: (note) =>
        makeThere(event, wanted, ({ deploys }) =>
          deploys.register({
            ...form,
            older: flags.allow.has('older') ? 'deploy' : config.olderArchives,
            origin: originOf(request),
            onDatabase: (change) => note({ [`database_${change}`]: true }),
          }),
        ),
      describe: describeRegister,
    })
    const ms = Math.round(performance.now() - started)
    return {
      status: form.flags.dryRun ? 'dry_run' : 'ready',
      database,
      ...ownServerField(event),
      ...(result.isSuperseded && { superseded: true }),
      migrations_applied: result.migrationsApplied.length,
      migrations_repaired: result.migrationsRepaired,
      functions_deployed: result.functionsDeployed,
      functions_changed: functionsChanged(result),
      functions_dropped: result.functionsDropped,
      seeders_applied: result.seedersApplied.length,
      tables_created: result.tablesCreated,
      schema_validation: result.differences,
      incompatible_changes: incompatibleChanges(result),
      checksum: form.archive.checksum,
      warnings: [...form.archive.warnings, ...result.warnings],
      ...(form.flags.dryRun && { plan: [toPlan(database, result, ms)] }),
      execution_time_ms: ms,
    }
  },
})
