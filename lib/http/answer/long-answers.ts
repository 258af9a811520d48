import type { IncomingMessage } from 'node:http'
import type { H3Event } from 'h3'
import type { Config } from '../../config.ts'
import type { GatewayError } from '../../errors.ts'
import { parsePlatform } from '../../tenancy/names.ts'
import { describeNetworks } from '../access/networks.ts'
import { checkClient } from '../guard.ts'
import { newContext, nodeOf } from '../request.ts'

/** One answer that goes on. */
interface LongAnswer {
  req: IncomingMessage
  platform: string | undefined
  /** Called with why the client may no longer have it; undefined: it still may. */
  onJudged: (refusal: GatewayError | undefined) => void
}

/**
 * The answers of access `admin` that may go on for hours. Their clients are judged anew where a reload
 * changes who may send requests.
 */
export class LongAnswers {
  readonly #config: Config
  readonly #open = new Set<LongAnswer>()
  #judgedBy: string

  /** @param config the settings in force, which a reload changes in place */
  constructor(config: Config) {
    this.#config = config
    this.#judgedBy = textOf(config)
  }

  /** Holds the answer of a request with its platform, until it is closed. */
  hold(event: H3Event, onJudged: LongAnswer['onJudged']): void {
    const { req, res } = nodeOf(event)
    const answer = { req, platform: event.context.request.platform, onJudged }
    this.#open.add(answer)
    res.once('close', () => this.#open.delete(answer))
  }

  /** Judges the client of each answer by the settings in force, where those of access are others now. */
  judge(): void {
    const text = textOf(this.#config)
    if (text === this.#judgedBy) return
    this.#judgedBy = text
    for (const { req, platform, onJudged } of this.#open) {
      onJudged(refusalOf(this.#config, req, platform))
    }
  }
}

/** As `guard` and the handlers judge a request that comes now. */
function refusalOf(
  config: Config,
  req: IncomingMessage,
  platform: string | undefined,
): GatewayError | undefined {
  const client = newContext(config, req)
  try {
    checkClient(config, req, client, 'admin')
    if (platform !== undefined) parsePlatform(client, platform)
    return undefined
  } catch (error) {
    return error as GatewayError
  }
}

/** The settings of access as a text, to compare them by. */
function textOf(config: Config): string {
  const { adminToken, adminNetworks, allowedHosts, allowedNetworks, allowedOrigins } = config
  const { platformNetworks, trustedProxies } = config
  const lists = [allowedNetworks, trustedProxies, ...(adminNetworks ? [adminNetworks] : [])]
  const platforms = [...(platformNetworks ?? [])].map(([prefix, networks]) => [
    prefix,
    describeNetworks(networks),
  ])
  return JSON.stringify([
    adminToken,
    lists.map(describeNetworks),
    platforms,
    allowedHosts,
    allowedOrigins,
  ])
}
