import type { Json } from '../../helpers/gateway.ts'
import { eventually, freePort, type GatewayProcess, startProcess } from '../../helpers/process.ts'

/** STATEMENT_TIMEOUT_SECS of the gateway of a storm. */
export const STATEMENT_TIMEOUT_SECS = 5

export interface StormGateway {
  url: string
  process: GatewayProcess
  /** Log entries of errors. */
  bugs(): Json[]
}

/** Starts a gateway in a process of its own, which is ended after the test. */
export async function startStormGateway(databaseUrl: string): Promise<StormGateway> {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const gateway = await startProcess({
    DATABASE_URL: databaseUrl,
    GATEWAY_PORT: `${port}`,
    // A line of log for each call is much work for the tests.
    LOG_LEVEL: 'warn',
    MAX_TOTAL_CONNECTIONS: '40',
    STATEMENT_TIMEOUT_SECS: `${STATEMENT_TIMEOUT_SECS}`,
  })
  await eventually('the gateway answers', () =>
    fetch(`${url}/health`).then(
      ({ ok }) => ok,
      () => false,
    ),
  )
  const bugs = () => gateway.entries().filter(({ level, error }) => level === 'error' && error)
  return { url, process: gateway, bugs }
}
