/** What a gateway does now, in numbers. */
export interface Load {
  /** Connections to PostgreSQL that are open, and that may be. */
  held: number
  capacity: number
  deploys: number
  /** Names of servers of SERVERS that do not answer. */
  away: string[]
}

/** Returns what `systemctl status` shows: `40 of 200 connections, 3 deploys`, the sums of all servers. */
export function describeStatus({ held, capacity, deploys, away }: Load): string {
  const running = `${deploys} ${deploys === 1 ? 'deploy' : 'deploys'}`
  const missing = away.length > 0 ? `; away: ${away.join(', ')}` : ''
  return `${held} of ${capacity} connections, ${running}${missing}`
}
