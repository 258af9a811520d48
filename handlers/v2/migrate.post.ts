import { defineHandler } from 'h3'
import { audited } from '../../lib/audit/audited.ts'
import { describeRegister } from '../../lib/audit/outcomes.ts'
import { toV2Changes } from '../../lib/deploy/original/changes.ts'
import { describeV2, parseV2Options, V2_MEMBERS } from '../../lib/deploy/original/request.ts'
import { functionsChanged } from '../../lib/deploy/result.ts'
import { authorizePlatformToken } from '../../lib/http/access/platform-token.ts'
import { readJsonObject } from '../../lib/http/body/body.ts'
import { originOf } from '../../lib/http/request.ts'
import { goToServerOf } from '../../lib/http/server-of.ts'
import { parseStoredOwner, STORED_OWNER_MEMBERS } from '../../lib/tenancy/owners.ts'

const MEMBERS = [...STORED_OWNER_MEMBERS, ...V2_MEMBERS] as const

export default defineHandler({
  meta: {
    description: 'Deploy a stored schema to one database; drops no function',
    body: MEMBERS,
    required: ['platform', 'schema_name'],
    request: { platform: 'shop', schema_name: 'tenant', uuid: '0b5d6a3e' },
    answer: {
      status: 'completed',
      platform: 'shop',
      schema_name: 'tenant',
      databases_updated: ['shop_tenant_0b5d6a3e'],
      migrations_applied: 0,
      functions_updated: 1,
      checksum: '0cbc175b9c0f1b6831e9c86c9d36ae2d',
      warnings: [],
      execution_time_ms: 150,
    },
    errors: [
      'not_found',
      'database_not_found',
      'data_loss',
      'migration_failed',
      'function_deploy_failed',
    ],
  },
  async handler(event) {
    const started = performance.now()
    const { gateway: main, request } = event.context
    const body = await readJsonObject(event, MEMBERS)
    const { owner: asked, schemaName } = parseStoredOwner(request, body)
    const options = parseV2Options(body)
    const { platform } = asked
    await authorizePlatformToken(event, platform, { isOptional: true })
    const stored = await main.platforms.loadStored(platform, schemaName)
    const gateway = await goToServerOf(event, asked)
    const owner = await gateway.tenants.resolve(asked, { anySpelling: true })
    const database = await gateway.tenants.locate(owner)
    request.database = database
    const { result, verification, seeders, warnings } = await audited(event, {
      action: 'migrate',
      owner,
      asked: describeV2(options, schemaName, stored.archive.checksum),
      work: () =>
        gateway.deploys.migrateStored({
          ...stored,
          owner,
          schemaName,
          options,
          origin: originOf(request),
        }),
      describe: (done) => describeRegister(done?.result),
    })
    return {
      status: verification?.passed === false ? 'completed_with_warnings' : 'completed',
      platform,
      schema_name: schemaName,
      databases_updated: [database],
      migrations_applied: result.migrationsApplied.length,
      migrations_repaired: result.migrationsRepaired,
      tables_created: result.tablesCreated.length,
      functions_updated: result.functionsDeployed,
      functions_changed: functionsChanged(result),
      seeder_validations: seeders,
      schema_validation: toV2Changes(result.tableChanges),
      verification,
      checksum: stored.archive.checksum,
      warnings,
      execution_time_ms: Math.round(performance.now() - started),
    }
  },
})
