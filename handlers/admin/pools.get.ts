import { defineHandler } from 'h3'
import { parseServer } from '../../lib/http/all-servers.ts'
import { answerInSlices } from '../../lib/http/answer/json-slices.ts'
import { poolsOfServers } from '../../lib/http/answer/server-pools.ts'
import { readQuery } from '../../lib/http/body/page-query.ts'
import { readPools } from '../../lib/operations/whole-service.ts'

export default defineHandler({
  meta: {
    description: 'Report the connections to each database, and the requests that wait for one',
    query: ['server'],
    answer: {
      pools: [{ database: 'clinic_main', platform: null, open: 2, busy: 0, idle: 2, waiting: 0 }],
      count: 1,
      permits: { held: 4, capacity: 200 },
      totals: { opened: 4, closed: 0, evicted: 0, exhausted: 0 },
      gateways: [{ id: '7c0d', host: 'gateway-1', pid: 4711, self: true }],
    },
  },
  async handler(event) {
    const { gateway, request } = event.context
    const only = parseServer(gateway.servers, readQuery(event, ['server']).server)
    const reports = await readPools(gateway)
    const { pools, permits, totals, ...rest } = poolsOfServers(
      gateway,
      reports,
      request.mayName,
      only,
    )
    return answerInSlices({
      pools,
      count: pools.length,
      permits,
      totals,
      gateways: gateway.gateways.alive(),
      ...rest,
    })
  },
})
