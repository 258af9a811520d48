import { defineHandler } from 'h3'
import { audited } from '../../../lib/audit/audited.ts'
import { describeRegister } from '../../../lib/audit/outcomes.ts'
import { authorizePlatformToken } from '../../../lib/http/access/platform-token.ts'
import { readJsonObject } from '../../../lib/http/body/body.ts'
import { originOf } from '../../../lib/http/request.ts'
import {
  goToServerFor,
  makeThere,
  ownServerField,
  parseWantedServer,
} from '../../../lib/http/server-of.ts'
import { databaseName } from '../../../lib/tenancy/names.ts'
import { parseStoredOwner, STORED_OWNER_MEMBERS } from '../../../lib/tenancy/owners.ts'

const MEMBERS = [...STORED_OWNER_MEMBERS, 'server'] as const

export default defineHandler({
  meta: {
    access: 'admin',
    token: 'platform',
    description:
      'Create a database with a stored schema; named by schema_name and uuid, or by database_id',
    body: MEMBERS,
    required: ['platform', 'schema_name'],
    request: { platform: 'shop', schema_name: 'tenant', uuid: '0b5d6a3e' },
    answer: {
      status: 'created',
      platform: 'shop',
      schema_name: 'tenant',
      database_name: 'shop_tenant_0b5d6a3e',
      tables_created: 1,
      functions_deployed: 1,
      warnings: [],
      execution_time_ms: 210,
    },
    errors: ['database_already_exists', 'database_name_collision'],
  },
  async handler(event) {
    const started = performance.now()
    const { gateway: main, request } = event.context
    const body = await readJsonObject(event, MEMBERS)
    const { owner: asked, schemaName } = parseStoredOwner(request, body)
    const { platform } = asked
    await authorizePlatformToken(event, platform)
    const server = parseWantedServer(body.server)
    const wanted = { owner: asked, server, labels: {}, isRecorded: true }
    const gateway = await goToServerFor(event, wanted)
    const owner = await gateway.tenants.resolve(asked, { anySpelling: true })
    const database = databaseName(owner)
    request.database = database
    const { result, archive } = await audited(event, {
      action: 'create_database',
      owner,
      asked: { stored_schema: schemaName, ...(server !== undefined && { server }) },
      work: async (note) => {
        const stored = await main.platforms.loadStored(platform, schemaName)
        const deploy = {
          owner,
          ...stored,
          older: 'deploy' as const,
          flags: { allow: new Set<never>(), repair: false, dryRun: false, strict: false },
          origin: originOf(request),
          onDatabase: (change: string) => note({ [`database_${change}`]: true }),
        }
        const result = await makeThere(event, wanted, ({ deploys }) =>
          deploys.createStored(deploy, schemaName),
        )
        return { result, archive: stored.archive }
      },
      describe: (done) => describeRegister(done?.result),
    })
    return {
      status: 'created',
      platform,
      schema_name: schemaName,
      database_name: database,
      ...ownServerField(event),
      extensions_installed: archive.files.extensions.length,
      types_deployed: result.typesChanged.length,
      tables_created: result.tablesCreated.length,
      functions_deployed: result.functionsDeployed,
      seeders: result.seeded ?? [],
      checksum: archive.checksum,
      warnings: [...archive.warnings, ...result.warnings],
      execution_time_ms: Math.round(performance.now() - started),
    }
  },
})
