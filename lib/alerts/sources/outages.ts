import type { OutageChange } from '../../postgres/hosts/outages.ts'
import type { Alerts } from '../alerts.ts'

/**
 * Tells outages. Each gateway tells that PostgreSQL is gone, since there is no catalog to agree in;
 * of replicas one gateway tells, and the first that has them back tells that.
 */
export function tellOutage(alerts: Alerts, change: OutageChange): void {
  const { server, role, trouble, since, seconds, message: text } = change
  const key = `${role}:${server}`
  if (role === 'primary') {
    const data = { server, since, ...(trouble ? { reason: trouble.what } : { seconds }) }
    if (trouble) alerts.tell({ type: 'postgres.gone', key, text, data })
    else alerts.raise({ type: 'postgres.back', key, text, data }, `${key} back ${minuteOf(since)}`)
    return
  }
  if (trouble) {
    const type = trouble.kind === 'behind' ? 'replica.behind' : 'replica.gone'
    alerts.begin({
      type,
      key,
      text,
      data: { server, since, kind: trouble.kind, reason: trouble.what },
    })
  } else {
    alerts.end(key, { type: 'replica.back', text, data: { server, since, seconds } })
  }
}

/** Tells that another host has become the primary; once of the gateways that find out in the same minute. */
export function tellMoved(alerts: Alerts, from: string, to: string): void {
  alerts.raise(
    {
      type: 'postgres.moved',
      key: `primary moved to ${to}`,
      text: `The primary has changed from ${from} to ${to}`,
      data: { from, to },
    },
    `primary moved from ${from} to ${to} ${minuteOf(new Date().toISOString())}`,
  )
}

function minuteOf(time: string): string {
  return time.slice(0, 16)
}
