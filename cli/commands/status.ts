import { CHECK_ARG, command, EXIT, GATEWAY_ARGS, JSON_ARG } from '../command.ts'
import type { Line } from '../fleet/state.ts'
import { send } from '../gateway/client.ts'
import { allPages } from '../gateway/pages.ts'
import { platformOf, readTarget } from '../gateway/target.ts'
import { megabytes, minute, showTable, writeJson } from '../terminal/show.ts'
import { printable, styles } from '../terminal/style.ts'
import { count, listed, short } from '../terminal/words.ts'

export default command({
  args: { ...CHECK_ARG, ...GATEWAY_ARGS, ...JSON_ARG },
  async run(args, io) {
    const target = readTarget(args, io)
    const platform = platformOf(target)
    const health = (await send(target, '/health')).json()
    const databases = await allPages(target, '/admin/databases', { platform }, 'databases')
    const behind = databases.filter(({ pending, missing }) => pending !== false || missing)
    const code = args.check && behind.length === 0 ? EXIT.nothing : EXIT.done
    if (args.json) {
      writeJson(io, { platform, gateway: health, databases })
      return code
    }
    const { bold, dim, green, yellow } = styles(io.hasColor)
    const { version, gateways } = health
    const about = listed(
      [version && `version ${version}`, gateways > 1 && `${gateways} gateways`],
      '',
    )
    io.out(`${bold(printable(platform))} at ${target.url} ${dim(`(${about})`)}\n`)
    const servers: Line[] = health.servers ?? []
    const hasServers = servers.length > 0
    for (const { name, why } of servers.filter(({ connected }) => !connected)) {
      io.out(`${yellow(`server ${printable(name)} is away`)} ${dim(printable(why ?? ''))}\n`)
    }
    showTable(
      io,
      [
        ...(hasServers ? [{ title: 'server' }] : []),
        { title: 'database' },
        { title: 'schema' },
        { title: 'deployed' },
        SIZE,
        { title: 'state' },
      ],
      databases.map((one) => [
        ...(hasServers ? [one.server] : []),
        one.name,
        one.schema_checksum ? short(one.schema_checksum) : '–',
        minute(one.last_deployed_at),
        megabytes(one.size_bytes),
        stateOf(one),
      ]),
      'no database yet: `register` makes one',
    )
    const sum = `${count(databases.length, 'database')}, ${behind.length} not on the newest schema`
    io.out(`${behind.length === 0 ? green(sum) : yellow(sum)}\n`)
    return code
  },
})

const SIZE = { title: 'size', align: 'right' } as const

function stateOf({ missing, pending }: Line): string {
  if (missing) return 'missing'
  if (pending === null) return 'does not answer'
  return pending ? 'pending' : 'current'
}
