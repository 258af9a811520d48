import type { SchemaArchive } from '../../archive/archive.ts'
import { GatewayError } from '../../errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier } from '../../postgres/quote.ts'
import type { Owner } from '../../tenancy/names.ts'
import { sequencesOf } from '../database/copied-sequences.ts'
import { createDatabase, dropDatabase } from '../database/database.ts'
import { asGateway, handOver } from '../database/handover.ts'
import { leaseForDeploy } from '../database/role-lease.ts'
import { withDatabaseLock } from '../database/with-lock.ts'
import { deploy } from '../deploy.ts'
import { readBoth } from '../drift/facts.ts'
import { readLedger } from '../ledger/ledger.ts'
import type { DeployParts } from '../parts.ts'
import { lookAtState } from '../replay/look.ts'
import type { DeployOrigin, DeployResult } from '../result.ts'
import { installUntrusted } from '../run/extensions.ts'
import { TimeLimit } from '../run/time-limit.ts'
import { createCopy } from './copy.ts'
import { findGenerated } from './generated.ts'
import { mergeResults } from './merge-results.ts'
import { baseOf, templateName } from './names.ts'
import { findUnproven } from './proven.ts'
import { dropSuperfluous } from './superfluous.ts'
import {
  beginTemplate,
  forgetTemplate,
  markUnfinished,
  readAlike,
  readTemplate,
  saveTemplate,
  type Template,
  type TemplateFacts,
} from './table.ts'
import { ChangedTemplate, checkUnchanged } from './unchanged.ts'

/** Input of a template. */
export interface TemplateRequest {
  platform: string
  archive: SchemaArchive
  origin: DeployOrigin
}

/**
 * Returns the template of a platform's archive, and builds it if it does not exist. A lock keeps
 * gateways from building it at the same time. First drops what an interrupted build has left.
 * @param again tries again if it has failed before
 * @throws {GatewayError} for errors that the archive's files did not cause: pool_exhausted,
 *   connection_failed, query_timeout, …
 */
export async function buildTemplate(
  parts: DeployParts,
  request: TemplateRequest,
  again: boolean,
): Promise<Template> {
  const { platform, archive } = request
  const database = templateName(parts.server.database, platform, archive.checksum)
  return parts.queue.run(database, () =>
    withDatabaseLock(parts, database, async (admin) => {
      const known = await readTemplate(admin, database)
      if (known?.state === 'ready' || (known?.state === 'failed' && !again)) return known
      await dropSuperfluous(parts, admin, platform, database)
      await beginTemplate(admin, {
        database,
        platform,
        checksum: archive.checksum,
        base: baseOf(archive),
      })
      return build(parts, admin, database, request)
    }),
  )
}

async function build(
  parts: DeployParts,
  admin: Sql,
  database: string,
  request: TemplateRequest,
): Promise<Template> {
  const { platform, archive } = request
  const base = baseOf(archive)
  const template: Template = {
    database,
    platform,
    checksum: archive.checksum,
    base,
    state: 'ready',
    generates: null,
    failure: null,
    result: null,
  }
  try {
    const alike = await readAlike(admin, platform, base)
    template.result =
      (alike && (await updateCopy(parts, admin, database, request, alike))) ??
      (await runFiles(parts, admin, database, request, null))
    const facts = await examine(parts, database, template, archive)
    await keepForGateway(parts, admin, database)
    await saveTemplate(admin, template, facts)
    return template
  } catch (error) {
    await dropDatabase(parts, admin, database)
    if (!isAboutFiles(error)) {
      await forgetTemplate(admin, database)
      throw error
    }
    const { code, message, details } = error
    const { database: _, ...rest } = details
    const failed: Template = {
      ...template,
      state: 'failed',
      failure: { code, message, details: rest },
      result: null,
    }
    await saveTemplate(admin, failed)
    return failed
  }
}

/**
 * Copies a template whose files differ in code only, and deploys the archive to the copy. Returns
 * undefined, and drops the copy, if that fails or if the result could differ from a new database.
 */
async function updateCopy(
  parts: DeployParts,
  admin: Sql,
  database: string,
  request: TemplateRequest,
  from: Template,
): Promise<DeployResult | undefined> {
  try {
    const result = await runFiles(parts, admin, database, request, from)
    return mergeResults(from.result!, result)
  } catch (error) {
    await dropDatabase(parts, admin, database)
    // The next tenant of that archive does not get it either.
    if (error instanceof ChangedTemplate) {
      await markUnfinished(admin, from.database)
      parts.templates.unsettle(from.database)
    }
    return undefined
  }
}

/**
 * Creates the database and deploys the archive to it as the platform's role, as any deploy does.
 */
async function runFiles(
  parts: DeployParts,
  admin: Sql,
  database: string,
  { platform, archive, origin }: TemplateRequest,
  from: Template | null,
): Promise<DeployResult> {
  // A killed gateway may have left it.
  await dropDatabase(parts, admin, database)
  const { baseTemplate, databaseCopy } = parts.config
  if (from === null) {
    await createDatabase(admin, database, { baseTemplate, databaseCopy })
  } else {
    // Owned by the platform's role from the beginning, its ledger stays as the template has it.
    await createCopy(admin, database, from.database, parts.roles.roleOf(platform), databaseCopy)
  }
  const owner: Owner = { platform, tenantId: null, schema: null, database }
  const sequences = sequencesOf(from?.database ?? baseTemplate, parts, platform)
  const check = from && ((sql: Sql) => checkUnchanged(sql, from.database, from.checksum))
  await handOver(parts, admin, owner, sequences, check ?? undefined)
  const { lease, ledgerKey } = await leaseForDeploy(parts, owner)
  try {
    if (from !== null) {
      const unproven = await findUnproven(archive, await readLedger(lease.sql))
      if (unproven) throw new Error(`${unproven} must run in a new database`)
    }
    await installUntrusted(parts, lease.sql, owner, archive.files.extensions)
    const {
      look,
      steps: _,
      ...result
    } = await deploy(lease.sql, {
      database,
      ledgerKey,
      archive,
      flags: { allow: new Set(), repair: false, retry: false, dryRun: false, strict: false },
      isNew: true,
      lockTimeoutMs: parts.config.lockTimeoutMs,
      limit: new TimeLimit(lease.connection, parts.config.deployTimeoutMs),
      origin,
      // No session for calls exists in a template.
      retire: async () => () => {},
      look: lookAtState,
    })
    await lease.sql.unsafe('reset all; reset role')
    const functions = await parts.functions.learn((work) => work(lease.sql), database, look)
    return { ...result, functions }
  } finally {
    parts.forgetFunctions(database)
    // CREATE DATABASE fails while its template has another session.
    await lease.discard()
    await parts.pools.closeDatabase(database)
  }
}

/**
 * Reads the facts for drift, and finds out whether new databases can be copied from the template.
 */
async function examine(
  parts: DeployParts,
  database: string,
  template: Template,
  archive: SchemaArchive,
): Promise<Pick<TemplateFacts, 'digest' | 'facts'>> {
  return asGateway(parts, database, async (sql) => {
    template.generates = (await findGenerated(sql, archive)) ?? null
    return readBoth(sql)
  })
}

/** Prevents connections of other roles, so that the template can be copied at any time. */
async function keepForGateway(parts: DeployParts, admin: Sql, database: string): Promise<void> {
  const name = quoteIdentifier(database)
  await admin.unsafe(`
    alter database ${name} owner to current_user;
    revoke all on database ${name} from public
  `)
  await parts.pools.closeDatabase(database)
}

function isAboutFiles(error: unknown): error is GatewayError {
  return error instanceof GatewayError && error.status < 500 && error.details.file !== undefined
}
