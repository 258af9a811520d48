import { command, DATABASE_ARGS, UsageError } from '../command.ts'
import { FLEET_ARGS } from '../fleet/fields.ts'
import type { Line } from '../fleet/state.ts'
import { type Request, send } from '../gateway/client.ts'
import { filterOf } from '../gateway/database.ts'
import { readTarget, type Target } from '../gateway/target.ts'
import { showTable, writeJson } from '../terminal/show.ts'
import { styles } from '../terminal/style.ts'

/** Entries of a page where all are read. */
const PAGE = 1000
const DEFAULT_LIMIT = '20'

export default command({
  args: {
    by: { type: 'enum', options: ['tenant', 'function'], description: 'what is counted apart' },
    from: {
      type: 'string',
      description: 'first day, in UTC; 30 days by default',
      valueHint: 'day',
    },
    to: { type: 'string', description: 'last day, in UTC; today by default', valueHint: 'day' },
    order: {
      type: 'enum',
      options: ['database_seconds', 'calls', 'errors', 'bytes'],
      description: 'the largest of which first; database_seconds by default',
    },
    days: { type: 'boolean', description: 'each day too' },
    limit: { type: 'string', description: 'how many, or all; 20 by default', valueHint: 'n' },
    all: FLEET_ARGS.all,
    ...DATABASE_ARGS,
  },
  async run(args, io) {
    const target = readTarget(args, io)
    const query = {
      platform: target.platform,
      ...filterOf(args, target),
      by: args.by,
      from: args.from,
      to: args.to,
      order: args.order,
      days: args.days ? 'true' : undefined,
    }
    const answer = await readUsage(target, query, args.limit ?? DEFAULT_LIMIT)
    if (args.json) {
      writeJson(io, answer)
      return undefined
    }
    const { by, order, from, to, usage, next_after: more, platform } = answer
    const isOfAll = platform === null
    showTable(
      io,
      [
        ...(isOfAll ? [{ title: 'platform' }] : []),
        { title: by },
        ...NUMBERS.map((title) => ({ title, align: 'right' as const })),
      ],
      usage.flatMap((one: Line) => [
        [...(isOfAll ? [one.platform] : []), nameOf(one), ...numbersOf(one)],
        ...(one.days ?? []).map((day: Line) => [
          ...(isOfAll ? [''] : []),
          `  ${day.day}`,
          ...numbersOf(day),
        ]),
      ]),
      'no call yet',
    )
    const rest = more === null ? '' : '; there are more: --limit all'
    const note = `${from} to ${to}, by ${order.replace('_', ' ')}${rest}`
    io.out(`${styles(io.hasColor).dim(note)}\n`)
    return undefined
  },
})

const NUMBERS = ['calls', 'errors', 'seconds', 'bytes', 'deploys']

function numbersOf(one: Line): string[] {
  const { calls, errors, database_seconds: seconds, bytes, deploys } = one
  return [calls, errors, seconds.toFixed(2), bytes, deploys].map(String)
}

function nameOf({ function: name, tenant_id: id, schema_name: schema, database }: Line): string {
  if (name !== undefined) return name
  if (id === null) return database
  return schema ? `${schema}/${id}` : id
}

/**
 * Reads the first entries, or all of them page by page; in the shape of one answer.
 * @throws {UsageError} if `limit` is neither a number nor "all"
 */
async function readUsage(target: Target, query: Request['query'], limit: string): Promise<Line> {
  if (limit !== 'all' && !/^\d+$/.test(limit)) {
    throw new UsageError(`--limit takes a number, or all; got "${limit}"`)
  }
  const read = async (more: Request['query']): Promise<Line> =>
    (await send(target, '/admin/usage', { query: { ...query, ...more } })).json()
  if (limit !== 'all') return read({ limit })
  const whole = await read({ limit: PAGE })
  while (whole.next_after !== null) {
    const { from, to } = whole
    const page = await read({ limit: PAGE, from, to, after: whole.next_after })
    whole.usage.push(...page.usage)
    whole.next_after = page.next_after
  }
  whole.count = whole.usage.length
  return whole
}
