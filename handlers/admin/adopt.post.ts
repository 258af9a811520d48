import { defineHandler } from 'h3'
import { audited } from '../../lib/audit/audited.ts'
import { parseDatabaseName, parseMigrationNames } from '../../lib/deploy/adopt/members.ts'
import type { Adopted } from '../../lib/deploy/adopt.ts'
import { readJsonObject } from '../../lib/http/body/body.ts'
import { goToServerWith, ownServerField, parseWantedServer } from '../../lib/http/server-of.ts'
import { parseFlag } from '../../lib/json/flag.ts'
import { ownerFields } from '../../lib/tenancy/owner-identity.ts'
import { OWNER_MEMBERS, parseNamedOwner } from '../../lib/tenancy/owners.ts'

const MEMBERS = [...OWNER_MEMBERS, 'database', 'migrations', 'dry_run', 'server'] as const

export default defineHandler({
  meta: {
    description: 'Add an existing database to the catalog',
    body: MEMBERS,
    required: ['platform', 'database'],
    request: { platform: 'clinic', tenant_id: 'north', database: 'clinic_north', dry_run: true },
    answer: {
      status: 'dry_run',
      database: 'clinic_north',
      platform: 'clinic',
      tenant_id: 'north',
      ledger: null,
      migrations_recorded: ['001_people.pssql'],
      owner: { from: 'app', to: 'gw_clinic' },
      objects_handed_over: 112,
      warnings: [],
    },
    errors: ['database_not_found', 'database_already_exists', 'name_conflict', 'database_in_use'],
  },
  async handler(event) {
    const { request } = event.context
    const body = await readJsonObject(event, MEMBERS)
    const owner = parseNamedOwner(request, body)
    const database = parseDatabaseName(body.database)
    const migrations = parseMigrationNames(body.migrations)
    const dryRun = parseFlag('dry_run', body.dry_run)
    const gateway = await goToServerWith(event, owner, database, parseWantedServer(body.server))
    request.database = database
    const adopted = await audited(event, {
      action: 'adopt',
      owner,
      asked: { database, ...(dryRun && { dry_run: true }) },
      work: () => gateway.deploys.adopt({ owner, database, migrations, dryRun }),
      describe: (result) => ({
        databases: [database],
        isUnchanged: dryRun,
        ...(result && { summary: { ledger: result.ledger, migrations: result.migrations.length } }),
      }),
    })
    return {
      status: dryRun ? 'dry_run' : 'adopted',
      database,
      ...ownServerField(event),
      ...ownerFields(owner),
      ...describe(adopted),
    }
  },
})

function describe({ ledger, migrations, previousOwner, role, toHandOver, hasTables }: Adopted) {
  const isBare = migrations.length === 0 && hasTables
  return {
    ledger,
    migrations_recorded: migrations,
    owner: { from: previousOwner, to: role ?? previousOwner },
    objects_handed_over: toHandOver,
    warnings: isBare
      ? [
          'No migration is recorded as applied: the next /register runs all of them. List those that the database already has in "migrations"',
        ]
      : [],
  }
}
