import { defineHandler, type H3EventContext } from 'h3'
import { readMoves } from '../../lib/deploy/relocate/moves-table.ts'
import { byDatabase, joinFleets } from '../../lib/fleet/join-fleets.ts'
import { askServers, awayField, checkKnown, newestOfMain } from '../../lib/http/all-servers.ts'
import { answerDocument } from '../../lib/http/answer/answer-document.ts'
import { jsonBytesInSlices } from '../../lib/http/answer/json-slices.ts'
import { readQuery } from '../../lib/http/body/page-query.ts'
import { gather, isAway, joinRows, whileAnswering } from '../../lib/servers/fan-in.ts'
import { MAIN_SERVER } from '../../lib/servers/parse-servers.ts'
import { readFormer } from '../../lib/tenancy/catalog/moved-away.ts'
import { parsePlatform } from '../../lib/tenancy/names.ts'

type Gateway = H3EventContext['gateway']

const QUERY = ['platform', 'server'] as const

export default defineHandler({
  meta: {
    description: 'The state of each database as the catalog knows it, and what can be done',
    query: QUERY,
    request: { platform: 'clinic' },
    answer: {
      platforms: [
        {
          platform: 'clinic',
          isolation: 'platform-roles',
          schema: '0cbc175b9c0f1b6831e9c86c9d36ae2d',
          databases: 1,
          synced: 0,
          pending: 1,
          drifted: 0,
          failed: 0,
          suspended: 0,
          missing: 0,
          drift_checked_at: null,
        },
      ],
      databases: [
        {
          database: 'clinic_north',
          platform: 'clinic',
          tenant_id: 'north',
          schema_name: null,
          state: 'pending',
          tenant_state: 'active',
          pending: true,
          schema: null,
          last_deployed_at: null,
          error: null,
          calls: 120,
          errors: 0,
          labels: { plan: 'pro' },
          held: false,
          size_bytes: 9224547,
        },
      ],
      count: 1,
      can: { create: true, export: true, drift: true },
    },
    errors: ['not_found'],
  },
  async handler(event) {
    const { gateway, request } = event.context
    const query = readQuery(event, QUERY)
    const can = await abilitiesOf(gateway)
    let answer: object
    if (query.platform === undefined) {
      const newest = newestOfMain(gateway)
      const gathered = await askServers(gateway, query, async (there) =>
        there.fleet.platforms(request.mayName, undefined, await newest(there)),
      )
      const platforms = joinFleets(gathered.answers.map((one) => one.answer))
      answer = { platforms, count: platforms.length, can, ...serversField(gateway, gathered) }
    } else {
      const platform = parsePlatform(request, query.platform)
      await checkKnown(gateway, platform)
      const newest = newestOfMain(gateway, platform)
      const gathered = await askServers(gateway, query, async (there) => {
        const known = await newest(there)
        const [platforms, databases, former] = await Promise.all([
          there.fleet.platforms(undefined, platform, known),
          there.fleet.databases(platform, known),
          gateway.servers.areSeveral ? there.catalog.use((sql) => readFormer(sql, platform)) : [],
        ])
        return { platforms, databases, former }
      })
      const platforms = joinFleets(gathered.answers.map((one) => one.answer.platforms))
      const rows = gathered.answers.map(({ server, answer }) => ({
        server,
        answer: answer.databases,
      }))
      const databases = await joinRows(gateway.servers, rows, byDatabase)
      const count = databases.length
      const former = gathered.answers.flatMap(({ server, answer }) =>
        answer.former.map((one) => ({ ...one, server })),
      )
      const fields = {
        ...(await movingField(gateway, platform)),
        ...(gateway.servers.areSeveral && { former }),
        ...serversField(gateway, gathered),
      }
      answer = { platforms, databases, count, can, ...fields }
    }
    const bytes = await jsonBytesInSlices(answer)
    return answerDocument(event, 'application/json; charset=utf-8', bytes)
  },
})

/** What can be done on `main`; where it is away, on the first server that answers. */
async function abilitiesOf({ servers }: Gateway) {
  const { answers } = await gather(servers, (there) => there.fleet.can())
  return answers[0]!.answer
}

/** The moves of tenants of the platform between servers that run; nothing without SERVERS. */
async function movingField({ servers }: Gateway, platform: string) {
  if (!servers.areSeveral) return {}
  const moves = await whileAnswering(servers.named(MAIN_SERVER), MAIN_SERVER, ({ catalog }) =>
    catalog.use(readMoves),
  ).catch((error) => {
    if (isAway(error)) return []
    throw error
  })
  const moving = moves
    .filter((move) => move.platform === platform)
    .map(({ database, from, to, phase, startedAt }) => {
      return { database, from, to, phase, started_at: startedAt }
    })
  return { moving }
}

/** The servers that there are, and those of them that have not answered; nothing without SERVERS. */
function serversField(gateway: Gateway, gathered: { away: string[] }) {
  if (!gateway.servers.areSeveral) return {}
  return { servers: gateway.servers.names(), ...awayField(gateway, gathered) }
}
