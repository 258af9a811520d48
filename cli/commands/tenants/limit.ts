import { command, UsageError } from '../../command.ts'
import type { Line } from '../../fleet/state.ts'
import { type DatabaseMembers, findDatabase, schemaMembers } from '../../gateway/database.ts'
import { MAIN, platformOf, readTarget } from '../../gateway/target.ts'
import { writeJson } from '../../terminal/show.ts'
import { printable } from '../../terminal/style.ts'
import { count, listed } from '../../terminal/words.ts'
import { changeDatabase, namedTenant, numberOf, ONE_TENANT, type TenantArgs } from './change.ts'

/** Takes a limit away. */
const NONE = 'none'

export default command({
  args: {
    ...ONE_TENANT,
    id: { ...ONE_TENANT.id, description: 'the tenant; main is the main database' },
    connections: {
      type: 'string',
      description: 'connections for calls, on all gateways together; none takes the limit away',
      valueHint: 'n',
    },
    'calls-per-second': {
      type: 'string',
      description: 'calls a second, on all gateways together; or none',
      valueHint: 'n',
    },
    'statement-timeout-ms': {
      type: 'string',
      description: 'limit of a statement in ms; or none',
      valueHint: 'ms',
    },
    'callable-schemas': {
      type: 'string',
      description: 'schemas in the place of CALLABLE_SCHEMAS, with commas between; or none',
      valueHint: 'names',
    },
    'read-only': {
      type: 'boolean',
      description: 'calls may write nothing; --no-read-only takes that away',
    },
  },
  async run(args, io) {
    const members = limited(args)
    const limits = {
      ...changeOf('max_connections', args.connections, numberOf),
      ...changeOf('calls_per_second', args['calls-per-second'], numberOf),
      ...changeOf('statement_timeout_ms', args['statement-timeout-ms'], numberOf),
      ...changeOf('callable_schemas', args['callable-schemas'], namesOf),
      ...(args['read-only'] !== undefined && { read_only: args['read-only'] }),
    }
    if (Object.keys(limits).length > 0) {
      const change = { path: '/admin/tenants', members: { ...members, limits }, describe }
      await changeDatabase(args, io, change)
      return undefined
    }
    const target = readTarget(args, io)
    const found = await findDatabase(target, platformOf(target), members)
    const { tenant_id, schema_name, name: database, limits: own = {} } = found
    const shown = { tenant_id, ...(schema_name && { schema_name }), database, limits: own }
    if (args.json) writeJson(io, shown)
    else io.out(`${printable(describe(shown))}\n`)
    return undefined
  },
})

/** A main database, and the base database of a schema, have limits too. */
function limited(args: TenantArgs): DatabaseMembers {
  if (args.id === MAIN && args.schema === undefined) return {}
  const base = args.id === undefined && args.uuid === undefined && schemaMembers(args)
  return base || namedTenant(args)
}

function changeOf<T>(name: string, typed: string | undefined, read: (text: string) => T) {
  return typed !== undefined && { [name]: typed === NONE ? null : read(typed) }
}

function namesOf(text: string): string[] {
  const names = text.split(',').map((name) => name.trim())
  if (names.every((name) => name !== '')) return names
  throw new UsageError(`--callable-schemas takes names with commas between; got "${text}"`)
}

function describe({ database, limits }: Line): string {
  const { max_connections: most, calls_per_second: calls, statement_timeout_ms: ms } = limits
  const about = listed(
    [
      most !== undefined && count(most, 'connection'),
      calls !== undefined && `${count(calls, 'call')} a second`,
      ms !== undefined && `statements of ${ms} ms`,
      limits.callable_schemas && `schemas ${limits.callable_schemas.join(' ')}`,
      limits.read_only && 'read-only',
    ],
    'no limit',
  )
  return `${database}: ${about}`
}
