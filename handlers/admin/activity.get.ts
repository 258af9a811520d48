import { defineHandler } from 'h3'
import { activityOfServers, type ServerNow, sessionsOf } from '../../lib/activity/of-servers.ts'
import { serverField } from '../../lib/http/all-servers.ts'
import { answerInSlices } from '../../lib/http/answer/json-slices.ts'
import { poolsOfServers } from '../../lib/http/answer/server-pools.ts'
import { readQuery } from '../../lib/http/body/page-query.ts'
import { readPools } from '../../lib/operations/whole-service.ts'

export default defineHandler({
  meta: {
    description: 'What runs now: sessions, who waits for whom, calls in flight, pools, PostgreSQL',
    answer: {
      at: '2026-11-26T17:00:00.000Z',
      sessions: [
        {
          pid: 4712,
          database: 'clinic_main',
          platform: 'clinic',
          tenant_id: null,
          user: 'gw_clinic',
          application: 'db-gateway',
          state: 'active',
          wait_event_type: 'Lock',
          wait_event: 'transactionid',
          since_s: 2.5,
          transaction_s: 2.5,
          blocked_by: [4711],
          query: 'select to_json(r) from "public"."book"($1) as r',
          is_gateway: true,
        },
      ],
      calls: [
        {
          id: '7c0d….12.clinic',
          gateway: '7c0d…',
          request_id: '…',
          platform: 'clinic',
          database: 'clinic_main',
          function: 'book',
          started_at: '2026-11-26T16:59:57.500Z',
          ms: 2500,
          phase: 'running',
          kind: 'call',
          can_cancel: true,
        },
      ],
      pools: [
        { database: 'clinic_main', platform: 'clinic', open: 2, busy: 1, idle: 1, waiting: 0 },
      ],
      permits: { held: 4, capacity: 200 },
      gateways: [{ id: '7c0d', host: 'gateway-1', pid: 4711, self: true }],
      unanswered: [],
      replicas: [],
      vitals: { version: '18.0', connections: 6, max_connections: 300, why: {} },
      why: null,
      can: { see_sessions: true },
    },
  },
  async handler(event) {
    const { gateway, request } = event.context
    readQuery(event, [])
    const { servers } = gateway
    const [now, { calls, unanswered }, reports] = await Promise.all([
      activityOfServers(servers, request.mayName),
      gateway.callsOfAll.list(request.mayName),
      readPools(gateway),
    ])
    const [{ at, vitals, why, can }] = now
    const { pools, permits, servers: budgets } = poolsOfServers(gateway, reports, request.mayName)
    return answerInSlices({
      at,
      sessions: sessionsOf(servers, now),
      calls: calls.map((call) => ({ ...call, ...serverField(gateway, call.database) })),
      pools,
      permits,
      gateways: gateway.gateways.alive(),
      unanswered,
      replicas: now.flatMap(({ replicas }) => replicas),
      vitals,
      why,
      can,
      ...(budgets && { servers: now.map((one) => describe(one, budgets)) }),
    })
  },
})

/** A server of several; its sessions are among those of all. */
function describe(
  { at, sessions, ...now }: ServerNow,
  budgets: { name: string; permits: object }[],
): object {
  const permits = budgets.find(({ name }) => name === now.name)?.permits ?? null
  return { ...now, permits }
}
