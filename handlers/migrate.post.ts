import { defineHandler } from 'h3'
import { migrate, summarize } from '../lib/deploy/migrate.ts'
import { nodeOf } from '../lib/request.ts'
import { readSchemaForm } from '../lib/schema-form.ts'

export default defineHandler({
  meta: { description: 'Hot update: deploy a schema to one database of a platform, or to all' },
  async handler(event) {
    const started = performance.now()
    const { gateway, request } = event.context
    const { req, res } = nodeOf(event)
    const { owner, archive } = await readSchemaForm(req, res, gateway.config.archive)
    request.platform = owner.platform
    const results = await migrate(gateway, owner, archive, {
      requestId: request.id,
      address: request.address ?? '',
    })
    return {
      status: 'completed',
      ...summarize(results),
      checksum: archive.checksum,
      warnings: [...archive.warnings, ...new Set(results.flatMap((result) => result.warnings))],
      execution_time_ms: Math.round(performance.now() - started),
    }
  },
})
