import { setTimeout as sleep } from 'node:timers/promises'
import { command, GATEWAY_ARGS, JSON_ARG } from '../command.ts'
import type { Line } from '../fleet/state.ts'
import { send } from '../gateway/client.ts'
import { RequestFailed } from '../gateway/request-failed.ts'
import { readTarget } from '../gateway/target.ts'
import { writeJson } from '../terminal/show.ts'
import { printable, type Styles, styles } from '../terminal/style.ts'
import { duration } from '../terminal/words.ts'

const POLL_MS = 1000
const PAGE = 100

/** The end of a request is waited for while fewer than this have begun after it. */
const OLDEST = 1000

export default command({
  args: {
    limit: { type: 'string', description: 'how many; 20 by default, 1000 at most', valueHint: 'n' },
    follow: { type: 'boolean', alias: 'f', description: 'go on with new ones until Ctrl-C' },
    ...GATEWAY_ARGS,
    ...JSON_ARG,
  },
  async run(args, io) {
    const target = readTarget(args, io)
    const style = styles(io.hasColor)
    const write = (entry: Line) =>
      args.json ? writeJson(io, entry) : io.out(`${describe(entry, style)}\n`)
    const read = async (limit: string | number, before?: number): Promise<Line[]> => {
      const query = { platform: target.platform, limit, before }
      return (await send(target, '/admin/audit', { query })).json().entries
    }
    const shown = new Shown()
    for (const entry of (await read(args.limit ?? '20')).reverse()) {
      shown.note(entry)
      write(entry)
    }
    if (!args.follow) return undefined

    const ending = new AbortController()
    const release = io.onInterrupt(() => ending.abort())
    let isAway = false
    while (!ending.signal.aborted) {
      await sleep(POLL_MS, undefined, { signal: ending.signal }).catch(() => {})
      try {
        for (const entry of await newEntries(read, shown.after())) {
          if (shown.note(entry)) write(entry)
        }
        isAway = false
      } catch (error) {
        if (error instanceof RequestFailed && error.status < 500) throw error
        const { message } = error as Error
        if (!isAway)
          io.err(`${style.yellow('!')} ${printable(message)}. Trying again until Ctrl-C\n`)
        isAway = true
      }
    }
    release()
    return undefined
  },
})

/** Which entries were shown, and which of them as requests that still ran. */
class Shown {
  readonly #running = new Set<number>()
  #last = 0

  /** Returns whether the entry is new, or has ended since it was noted, and notes it. */
  note({ id, status }: Line): boolean {
    const isNews = id > this.#last || (this.#running.has(id) && status !== null)
    this.#last = Math.max(this.#last, id)
    if (status === null) this.#running.add(id)
    else this.#running.delete(id)
    return isNews
  }

  /** Returns the id after which there may be news. */
  after(): number {
    for (const id of this.#running) if (id < this.#last - OLDEST) this.#running.delete(id)
    return Math.min(this.#last, ...[...this.#running].map((id) => id - 1))
  }
}

/** Returns the entries after one, the oldest first. */
async function newEntries(
  read: (limit: number, before?: number) => Promise<Line[]>,
  after: number,
): Promise<Line[]> {
  const entries: Line[] = []
  for (let before: number | undefined; ; before = entries.at(-1)!.id) {
    const page = await read(PAGE, before)
    entries.push(...page.filter(({ id }) => id > after))
    if (page.length < PAGE || page.at(-1)!.id <= after) return entries.reverse()
  }
}

function describe(entry: Line, { bold, dim, green, red, yellow }: Styles): string {
  const { at, action, platform, tenant_id: tenant, status, error, duration_ms: ms } = entry
  const ink = status === null ? yellow : status < 400 ? green : red
  const whose = [platform, tenant].filter(Boolean).join('/') || '–'
  const many = entry.databases.length > 1 ? `${entry.databases.length} databases` : ''
  const parts = [
    dim(at.slice(0, 19).replace('T', ' ')),
    ink(String(status ?? '…')),
    bold(printable(action.replaceAll('_', ' '))),
    printable(whose),
    many,
    error ? red(printable(error)) : '',
    dim(ms === null ? '' : duration(ms)),
    dim(printable(entry.address ?? '')),
  ]
  return parts.filter((part) => part !== '').join('  ')
}
