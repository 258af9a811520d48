import type { Alerts } from '../alerts.ts'

/** A gateway that is alive. */
interface Member {
  id: string
  host: string
  pid: number
  /** True for this gateway. */
  self: boolean
}

/** Tells gateways that come and go. The first look tells of this gateway alone. */
export class MemberAlerts {
  readonly #alerts: Alerts
  #known: Map<string, Member> | undefined

  constructor(alerts: Alerts) {
    this.#alerts = alerts
  }

  /** @param isNew false: this gateway has told of itself before, from another process */
  note(alive: Member[], isNew = true): void {
    const before = this.#known
    this.#known = new Map(alive.map((member) => [member.id, member]))
    const total = alive.length
    for (const member of alive) {
      if (before ? !before.has(member.id) : member.self && isNew)
        this.#tell('gateway.joined', member, total)
    }
    for (const member of before?.values() ?? []) {
      if (!this.#known.has(member.id)) this.#tell('gateway.left', member, total)
    }
  }

  #tell(
    type: 'gateway.joined' | 'gateway.left',
    { id, host, pid }: Member,
    gateways: number,
  ): void {
    const what = type === 'gateway.joined' ? 'has started' : 'has stopped, or was lost'
    this.#alerts.raise({
      type,
      key: `${type}:${id}`,
      text: `A gateway on ${host} ${what}; ${gateways} share PostgreSQL's connections`,
      data: { gateway_id: id, host, pid, gateways },
    })
  }
}
