import { defineHandler } from 'h3'
import { answerInSlices } from '../../lib/http/answer/json-slices.ts'
import { readQuery } from '../../lib/http/body/page-query.ts'

export default defineHandler({
  meta: {
    description: 'Report the connections to each database, and the requests that wait for one',
  },
  handler(event) {
    const { gateway } = event.context
    readQuery(event, [])
    const { pools, permits, totals } = gateway.pools.report()
    return answerInSlices({
      pools: pools.map(({ platform = null, oldestWaitMs, ...pool }) => ({
        ...pool,
        platform,
        oldest_wait_ms: Math.round(oldestWaitMs),
      })),
      count: pools.length,
      permits,
      totals,
      gateways: gateway.gateways.alive(),
    })
  },
})
