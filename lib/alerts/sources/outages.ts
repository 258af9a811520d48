import type { OutageChange } from '../../postgres/hosts/outages.ts'
import type { Alerts } from '../alerts.ts'

/**
 * Tells outages. Each gateway tells that `main` is gone, since there is no catalog to agree in; of other
 * servers and replicas one gateway tells, and the first that has them back tells that.
 */
export function tellOutage(alerts: Alerts, change: OutageChange): void {
  const { role, trouble, since, seconds, message: text } = change
  const { server } = change
  const named = change.name === undefined ? { server } : { server, name: change.name }
  const key = `${role}:${server}`
  if (role === 'primary' && change.name === undefined) {
    const data = { ...named, since, ...(trouble ? { reason: trouble.what } : { seconds }) }
    if (trouble) alerts.tell({ type: 'postgres.gone', key, text, data })
    else alerts.raise({ type: 'postgres.back', key, text, data }, `${key} back ${minuteOf(since)}`)
    return
  }
  if (role === 'primary') {
    if (trouble) {
      const data = { ...named, since, reason: trouble.what }
      alerts.begin({ type: 'postgres.gone', key, text, data })
    } else alerts.end(key, { type: 'postgres.back', text, data: { ...named, since, seconds } })
    return
  }
  if (trouble) {
    const type = trouble.kind === 'behind' ? 'replica.behind' : 'replica.gone'
    alerts.begin({
      type,
      key,
      text,
      data: { ...named, since, kind: trouble.kind, reason: trouble.what },
    })
  } else {
    alerts.end(key, { type: 'replica.back', text, data: { ...named, since, seconds } })
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
