import { setTimeout as sleep } from 'node:timers/promises'
import type { SchemaArchive } from '../../archive/archive.ts'
import { GatewayError } from '../../errors.ts'
import type { Owner } from '../../tenancy/names.ts'
import type { DeployParts } from '../parts.ts'
import type { DeployFlags, DeployOrigin } from '../result.ts'
import { buildTemplate } from './build.ts'
import { templateName } from './names.ts'
import { dropSuperfluous } from './superfluous.ts'
import { markDeployed, readTemplate, type Template, wasDeployed } from './table.ts'

/** An answer waits so much longer than the deploy itself takes, in milliseconds. */
const PATIENCE_MS = 30_000

/** A deploy, as far as it matters for the template of its archive. */
export interface ProofRequest {
  owner: Owner
  archive: SchemaArchive
  flags: DeployFlags
  origin: DeployOrigin
}

/** What came of work, with what there is to say of new tenants. */
export interface Proven<T> {
  value: T
  warnings: string[]
}

/**
 * Runs a deploy of `request.archive`. Beside it, the first time that the archive comes for the
 * platform, its template is built: a new tenant from nothing. Where that fails, the deploy is done
 * all the same and a warning says why; with `strict` it comes first, and nothing else is done. A
 * database that the deploy makes itself is proof enough; its template is built afterwards, and nobody
 * waits for it.
 * @param isFleet many databases that exist: what has failed before is tried again
 * @throws {GatewayError} new_tenants_fail, with `strict`; what `work` throws
 */
export async function withProof<T>(
  parts: DeployParts,
  request: ProofRequest,
  isFleet: boolean,
  work: () => Promise<T>,
): Promise<Proven<T>> {
  const { owner, flags } = request
  if (!parts.config.templates) {
    if (flags.strict) throw new GatewayError('invalid_request', 'strict needs TEMPLATES=on')
    return { value: await work(), warnings: [] }
  }
  if (flags.strict) {
    const { failure } = await build(parts, request, true)
    if (failure) throw newTenantsFail(failure)
  }
  if (flags.dryRun) return { value: await work(), warnings: [] }

  const makesDatabase = !isFleet && (await parts.catalog.findOwn(owner)) === undefined
  const isDue =
    !makesDatabase &&
    !parts.templates.isSettled(nameOf(parts, request)) &&
    (isFleet || (await isFirst(parts, request)))
  const proof = isDue ? outcome(parts, request, isFleet) : undefined
  const value = await work()
  const warnings = makesDatabase ? [] : await answerOf(parts, request, proof)
  keep(parts, request, proof)
  return { value, warnings }
}

/** Whether the archive has been in place nowhere, and has no template. */
async function isFirst(parts: DeployParts, request: ProofRequest): Promise<boolean> {
  return parts.catalog.use(async (sql) => {
    const known = await readTemplate(sql, nameOf(parts, request))
    if (known && known.state !== 'unfinished') return false
    return !(await wasDeployed(sql, request.owner.platform, request.archive.checksum))
  })
}

function nameOf({ server }: DeployParts, { owner, archive }: ProofRequest): string {
  return templateName(server.database, owner.platform, archive.checksum)
}

function build(parts: DeployParts, request: ProofRequest, again: boolean): Promise<Template> {
  const { archive, origin, owner } = request
  const work = () => buildTemplate(parts, { platform: owner.platform, archive, origin }, again)
  return parts.templates.share(`${again ? 'again' : 'once'} ${nameOf(parts, request)}`, work)
}

/** What there is to say of new tenants; undefined: nothing. */
async function outcome(
  parts: DeployParts,
  request: ProofRequest,
  again: boolean,
): Promise<string | undefined> {
  try {
    const { failure } = await build(parts, request, again)
    return failure ? warningOf(failure) : undefined
  } catch (error) {
    const { message } = error as Error
    parts.log.warn(`The template of ${request.owner.platform} could not be built`, {
      cause: message,
      checksum: request.archive.checksum,
    })
    return `Whether a new tenant can be made is not known: its template could not be built (${message})`
  }
}

/** That of this proof, or of one before it. */
async function answerOf(
  parts: DeployParts,
  request: ProofRequest,
  proof: Promise<string | undefined> | undefined,
): Promise<string[]> {
  const late =
    'Whether a new tenant can be made is not known yet: its template is still being built'
  const warning = proof
    ? await Promise.race([proof, sleep(PATIENCE_MS, late, { ref: false })])
    : await knownFailure(parts, request)
  return warning === undefined ? [] : [warning]
}

async function knownFailure(
  parts: DeployParts,
  request: ProofRequest,
): Promise<string | undefined> {
  const name = nameOf(parts, request)
  if (parts.templates.isSettled(name)) return undefined
  const known = await parts.catalog.use((sql) => readTemplate(sql, name))
  return known?.failure ? warningOf(known.failure) : undefined
}

/** After a deploy: the archive's template stays, and older ones go. Nobody waits for that. */
function keep(
  parts: DeployParts,
  request: ProofRequest,
  proof: Promise<string | undefined> | undefined,
): void {
  const { platform } = request.owner
  const name = nameOf(parts, request)
  const { templates, queue, pools, server, log } = parts
  if (templates.isSettled(name)) return
  const work = async () => {
    await proof
    const { state } = await build(parts, request, false)
    await queue.run(`templates of ${platform}`, () =>
      pools.use(server.database, async (sql) => {
        await markDeployed(sql, name)
        await dropSuperfluous(parts, sql, platform)
      }),
    )
    if (state === 'ready') templates.settle(name)
  }
  templates
    .share(`keep ${name}`, work)
    .catch((error: Error) =>
      log.warn(`The templates of ${platform} could not be looked after`, { cause: error.message }),
    )
}

type Failure = NonNullable<Template['failure']>

function warningOf({ message, details }: Failure): string {
  const place = [details.file, details.line && `line ${details.line}`].filter(Boolean).join(', ')
  const cause = details.cause ? `: ${details.cause}` : ''
  return `new_tenants_fail: ${place}: ${message}${cause}`
}

function newTenantsFail({ code, message, details }: Failure): GatewayError {
  return new GatewayError(
    'new_tenants_fail',
    `No new tenant can be made with this archive, so nothing was deployed: ${message}`,
    { ...details, failed: code },
  )
}
