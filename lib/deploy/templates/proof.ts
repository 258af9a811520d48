import { setTimeout as sleep } from 'node:timers/promises'
import type { SchemaArchive } from '../../archive/archive.ts'
import { GatewayError } from '../../errors.ts'
import type { Owner } from '../../tenancy/names.ts'
import { scopeOfOrigin, traced } from '../../tracing/scope.ts'
import type { DeployParts } from '../parts.ts'
import type { DeployFlags, DeployOrigin, DeployResult } from '../result.ts'
import { buildTemplate } from './build.ts'
import { templateName } from './names.ts'
import { dropSuperfluous } from './superfluous.ts'
import { markDeployed, readTemplate, type Template, wasDeployed } from './table.ts'

/** Time that an answer waits for the proof after the deploy has ended, in milliseconds. */
const PATIENCE_MS = 30_000

/** The properties of a deploy that matter for the template of its archive. */
export interface ProofRequest {
  owner: Owner
  archive: SchemaArchive
  flags: DeployFlags
  origin: DeployOrigin
  /** Rejects if there is nothing to deploy to; asked before anything is made for the proof. */
  find?: () => Promise<unknown>
}

/** The result of the work, and warnings about new tenants. */
export interface Proven<T> {
  value: T
  warnings: string[]
}

/**
 * Runs a deploy of `request.archive`. The first time that the platform deploys the archive, also
 * builds its template at the same time, to prove that a new tenant can be created from nothing. If
 * that fails, the deploy goes on and a warning says why. With `strict`, the proof runs first, and
 * its failure prevents the deploy. A deploy that creates a database is proof enough; the template
 * is then built afterwards in the background.
 * @param isFleet the deploy is for many existing databases: a failed proof is repeated
 * @throws {GatewayError} new_tenants_fail, with `strict`; errors of `work`
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
    await request.find?.()
    await prove(parts, request)
  }
  if (flags.dryRun) return { value: await work(), warnings: [] }

  const makesDatabase = !isFleet && (await parts.catalog.findHere(owner)) === undefined
  const isDue =
    !makesDatabase &&
    !parts.templates.isSettled(nameOf(parts, request)) &&
    (isFleet || (await isFirst(parts, request)))
  if (isDue) await request.find?.()
  const proof = isDue ? outcome(parts, request, isFleet) : undefined
  const value = await work()
  const warnings = makesDatabase ? [] : await answerOf(parts, request, proof)
  keep(parts, request, proof)
  return { value, warnings }
}

/**
 * Builds the template of the archive anew, which proves that a new tenant can be made on this server.
 * @throws {GatewayError} new_tenants_fail
 */
export async function prove(parts: DeployParts, request: ProofRequest): Promise<void> {
  const { failure } = await build(parts, request, true)
  if (failure) throw newTenantsFail(failure)
}

/** As `withProof`, for one database: the warnings about new tenants go into the deploy's result. */
export async function deployWithProof(
  parts: DeployParts,
  request: ProofRequest,
  work: () => Promise<DeployResult>,
): Promise<DeployResult> {
  const { value, warnings } = await withProof(parts, request, false, work)
  return { ...value, warnings: [...value.warnings, ...warnings] }
}

/** Returns whether the archive was never deployed to the platform and has no template. */
async function isFirst(parts: DeployParts, request: ProofRequest): Promise<boolean> {
  const { owner, archive } = request
  const { catalog, platformCatalog } = parts
  const known = await catalog.use((sql) => readTemplate(sql, nameOf(parts, request)))
  if (known && known.state !== 'unfinished') return false
  return !(await platformCatalog.use((sql) => wasDeployed(sql, owner.platform, archive.checksum)))
}

function nameOf({ server }: DeployParts, { owner, archive }: ProofRequest): string {
  return templateName(server.database, owner.platform, archive.checksum)
}

function build(parts: DeployParts, request: ProofRequest, again: boolean): Promise<Template> {
  const { archive, origin, owner } = request
  const template = { platform: owner.platform, archive, origin }
  const work = () =>
    traced(scopeOfOrigin(origin), 'build template', {}, () => buildTemplate(parts, template, again))
  return parts.templates.share(`${again ? 'again' : 'once'} ${nameOf(parts, request)}`, work)
}

/** Builds the template and returns the warning about new tenants; undefined if there is none. */
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
    return `It is not known whether a new tenant can be created: the template could not be built (${message})`
  }
}

/** Returns the warning of this proof, or of an earlier one. */
async function answerOf(
  parts: DeployParts,
  request: ProofRequest,
  proof: Promise<string | undefined> | undefined,
): Promise<string[]> {
  const late =
    'It is not yet known whether a new tenant can be created: the template is still being built'
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

/**
 * After a deploy, marks the archive's template as deployed and drops older ones, in the background.
 */
function keep(
  parts: DeployParts,
  request: ProofRequest,
  proof: Promise<string | undefined> | undefined,
): void {
  const { platform } = request.owner
  const name = nameOf(parts, request)
  const { templates, queue, pools, server, log } = parts
  if (templates.isSettled(name)) return
  const deployedAt = performance.now()
  const mark = () =>
    queue.run(`templates of ${platform}`, () =>
      pools.use(server.database, async (sql) => {
        const isThere = await markDeployed(sql, name, performance.now() - deployedAt)
        if (isThere) await dropSuperfluous(parts, sql, platform)
        return isThere
      }),
    )
  const work = async () => {
    await proof
    let { state } = await build(parts, request, false)
    // Another release that has ended meanwhile has dropped it as superfluous, which it is no more.
    while (!(await mark())) state = (await build(parts, request, false)).state
    if (state === 'ready') templates.settle(name)
  }
  templates
    .share(`keep ${name}`, work)
    .catch((error: Error) =>
      log.warn(`The templates of ${platform} could not be cleaned up`, { cause: error.message }),
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
    `No new tenant can be created with this archive, so nothing was deployed: ${message}`,
    { ...details, failed: code },
  )
}
