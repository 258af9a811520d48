import { defineHandler } from 'h3'
import { register } from '../lib/deploy/register.ts'
import { nodeOf } from '../lib/request.ts'
import { readSchemaForm } from '../lib/schema-form.ts'

export default defineHandler({
  meta: { description: 'A container starts: create its database, deploy its schema' },
  async handler(event) {
    const started = performance.now()
    const { gateway, request } = event.context
    const { req, res } = nodeOf(event)
    const { owner, archive } = await readSchemaForm(req, res, gateway.config.archive)
    request.platform = owner.platform
    const { database, result } = await register(gateway, owner, archive, {
      requestId: request.id,
      address: request.address ?? '',
    })
    request.database = database
    return {
      status: 'ready',
      database,
      migrations_applied: result.migrationsApplied.length,
      functions_deployed: result.functionsDeployed,
      functions_changed: result.functionsChanged,
      functions_dropped: result.functionsDropped,
      seeders_applied: result.seedersApplied,
      checksum: archive.checksum,
      warnings: [...archive.warnings, ...result.warnings],
      execution_time_ms: Math.round(performance.now() - started),
    }
  },
})
