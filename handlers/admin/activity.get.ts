import { defineHandler } from 'h3'
import { shownSessions } from '../../lib/activity/shown-sessions.ts'
import { answerInSlices } from '../../lib/http/answer/json-slices.ts'
import { shownPools } from '../../lib/http/answer/shown-pools.ts'
import { readQuery } from '../../lib/http/body/page-query.ts'

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
    const [{ at, sessions, vitals, why }, { calls, unanswered }] = await Promise.all([
      gateway.activity.read(),
      gateway.callsOfAll.list(request.mayName),
    ])
    const can = why === null ? await gateway.fleet.can().catch(() => undefined) : undefined
    const { pools, permits } = shownPools(gateway.pools.report(), request.mayName)
    return answerInSlices({
      at,
      sessions: shownSessions(sessions, request.mayName, gateway.server.database),
      calls,
      pools,
      permits,
      gateways: gateway.gateways.alive(),
      unanswered,
      replicas: gateway.replicas?.status() ?? [],
      vitals,
      why,
      can: { see_sessions: can?.see_sessions ?? why ?? 'PostgreSQL does not answer' },
    })
  },
})
