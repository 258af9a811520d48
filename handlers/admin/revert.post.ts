import { defineHandler } from 'h3'
import { audited } from '../../lib/audit/audited.ts'
import { describeMigrate } from '../../lib/audit/outcomes.ts'
import {
  type DatabaseResult,
  describeResult,
  plansOf,
  summarize,
} from '../../lib/deploy/fleet/results.ts'
import { parseChecksum } from '../../lib/deploy/older/revert.ts'
import { GatewayError } from '../../lib/errors.ts'
import { answerInSlices } from '../../lib/http/answer/json-slices.ts'
import { acceptsLines, streamLines } from '../../lib/http/answer/ndjson.ts'
import { readJsonObject } from '../../lib/http/body/body.ts'
import { nodeOf, originOf } from '../../lib/http/request.ts'
import { parseFlag } from '../../lib/json/flag.ts'
import type { Json } from '../../lib/json/json.ts'
import { jsonOf, nameOf } from '../../lib/json/text.ts'
import { describeLabels, type Labels, parseLabelFilter } from '../../lib/tenancy/labels.ts'
import { type Owner, textOf } from '../../lib/tenancy/names.ts'
import { OWNER_MEMBERS, parseScope } from '../../lib/tenancy/owners.ts'

const MEMBERS = [...OWNER_MEMBERS, 'checksum', 'dry_run', 'on_error', 'skip', 'label'] as const

export default defineHandler({
  meta: { description: 'Take the code of one database, or of all, back to an earlier archive' },
  async handler(event) {
    const started = performance.now()
    const { gateway, request } = event.context
    const { req } = nodeOf(event)
    const body = await readJsonObject(event, MEMBERS)
    refuseNull(body.tenant_id)
    const owner = await gateway.catalog.resolveScope(parseScope(request, body))
    const checksum = parseChecksum(body.checksum)
    const dryRun = parseFlag('dry_run', body.dry_run)
    const onError = parseOnError(body.on_error)
    const skip = parseSkip(body.skip)
    const labels = parseLabelFilter(textOf('label', body.label))
    refuseFilter(owner, labels)

    const run = async (onEnd?: (result: DatabaseResult) => void) => {
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
            onEnd: (result) => {
              ended.push(result)
              onEnd?.(result)
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
    return streamLines(gateway.log, (write) => run((result) => write(describeResult(result))))
  },
})

/** Refuses labels for a request that names a tenant. */
function refuseFilter({ tenantId }: Owner, labels: Labels): void {
  if (tenantId === null || Object.keys(labels).length === 0) return
  throw new GatewayError(
    'invalid_request',
    'label applies to a request to all databases: name no tenant',
  )
}

/** Refuses a null tenant_id: it could mean the main database, or all databases. */
function refuseNull(value: Json | undefined): void {
  if (value?.kind !== 'null') return
  throw new GatewayError(
    'invalid_request',
    'tenant_id must be a string; got null. Leave it out to mean all databases of the platform',
  )
}

function parseOnError(value: Json | undefined): 'stop' | 'continue' {
  if (value === undefined) return 'stop'
  const text = value.kind === 'string' ? nameOf(value) : ''
  if (text === 'stop' || text === 'continue') return text
  throw new GatewayError('invalid_request', 'on_error must be "stop" or "continue"')
}

/** Returns names of databases, or tenant ids. */
function parseSkip(value: Json | undefined): string[] {
  const skip: unknown = value === undefined ? [] : JSON.parse(jsonOf(value))
  if (Array.isArray(skip) && skip.every((one) => typeof one === 'string')) return skip
  throw new GatewayError('invalid_request', 'skip must be an array of strings')
}
