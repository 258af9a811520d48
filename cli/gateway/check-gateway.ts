import { type Check, ok, warning } from '../../lib/doctor/check.ts'
import { clockCheck } from '../../lib/doctor/server.ts'
import { PROGRAM } from '../command.ts'
import type { Target } from './target.ts'

const PATIENCE_MS = 5000

/** Looks whether a gateway answers at the target's URL, whether it is well, and what time it has. */
export async function checkGateway({ url }: Target): Promise<Check[]> {
  let response: Response
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS)
    // Commands follow no redirect.
    response = await fetch(`${url}/health`, { signal, redirect: 'manual' })
  } catch (error) {
    const { cause, message } = error as Error
    const why = (cause as Error | undefined)?.message || message
    const advice = `Start one with \`${PROGRAM} start\`, or name another with --url`
    return [warning('gateway', `No gateway answers at ${url}: ${why}`, advice)]
  }
  const body = (await response.json().catch(() => undefined)) as { status?: string } | undefined
  if (typeof body?.status !== 'string') {
    const says = `What answers at ${url} is no gateway (${response.status})`
    return [warning('gateway', says, 'Name the gateway with --url, or free the port')]
  }
  const checks = response.ok
    ? [ok('gateway', `The gateway at ${url} is ${body.status}`)]
    : [
        warning(
          'gateway',
          `The gateway at ${url} is ${body.status}: it does not reach its PostgreSQL`,
          'Look at its log, and at PostgreSQL',
        ),
      ]
  const date = Date.parse(response.headers.get('date') ?? '')
  // The header has whole seconds.
  if (!Number.isNaN(date)) checks.push(clockCheck("The gateway's", date + 500 - Date.now()))
  return checks
}
