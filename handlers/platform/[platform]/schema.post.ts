import { defineHandler, getRouterParams } from 'h3'
import { readRecentArchive } from '../../../lib/archive/recent.ts'
import { audited } from '../../../lib/audit/audited.ts'
import { GatewayError } from '../../../lib/errors.ts'
import { readArchiveForm } from '../../../lib/http/body/schema-form.ts'
import { nodeOf } from '../../../lib/http/request.ts'
import { checkNames } from '../../../lib/json/known-names.ts'
import { parsePlatform } from '../../../lib/tenancy/names.ts'
import { parseSchemaName } from '../../../lib/tenancy/owners.ts'
import { sectionsOf } from '../../../lib/tenancy/schemas/stored-schemas.ts'

const FIELDS = ['schema_name', 'name', 'schema', 'file'] as const

export default defineHandler({
  meta: {
    description: 'Store a schema under a name; databases can be created from it',
    form: FIELDS,
    request: { schema_name: 'tenant', schema: '(the archive)' },
    answer: {
      status: 'registered',
      platform: 'shop',
      schema_name: 'tenant',
      has_tables: true,
      has_functions: true,
      has_migrations: false,
      has_seeders: true,
      checksum: '0cbc175b9c0f1b6831e9c86c9d36ae2d',
      warnings: [],
    },
    errors: ['not_found', 'schema_extraction_failed', 'payload_too_large', 'too_many_schemas'],
  },
  async handler(event) {
    const { gateway, request } = event.context
    const { platforms, config, buffered } = gateway
    const { req, res } = nodeOf(event)
    const platform = parsePlatform(request, getRouterParams(event, { decode: true }).platform)
    await platforms.check(platform)
    const { fields, fileNames, archive: packed } = await readArchiveForm(req, res, config, buffered)
    checkNames('form field', [...fields.keys(), ...fileNames], FIELDS)
    if (fields.has('schema_name') && fields.has('name')) {
      throw new GatewayError(
        'invalid_request',
        'schema_name and name are both given: send one of them',
      )
    }
    const name = parseSchemaName(fields.get('schema_name') ?? fields.get('name'))
    if (!packed) {
      throw new GatewayError(
        'invalid_request',
        'schema is missing: the tar.gz of the postgresql folder, as a file',
      )
    }
    const archive = await readRecentArchive(packed, config.archive)
    const { checksum } = archive
    const sections = sectionsOf(archive)
    await audited(event, {
      action: 'store_schema',
      owner: { platform, tenantId: null, schema: null },
      asked: { stored_schema: name, checksum },
      work: () => platforms.store(platform, { name, checksum, packed, ...sections }),
    })
    return {
      status: 'registered',
      platform,
      schema_name: name,
      ...sections,
      checksum,
      warnings: archive.warnings,
    }
  },
})
