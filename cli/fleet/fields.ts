import type { ArgsDef } from 'citty'
import { UsageError } from '../command.ts'
import { type DatabaseMembers, nameOfDatabase, schemaMembers } from '../gateway/database.ts'
import { MAIN, type Target } from '../gateway/target.ts'

/** The arguments that choose databases. */
export const FLEET_ARGS = {
  all: { type: 'boolean', description: 'all databases, whatever tenant is set elsewhere' },
  label: {
    type: 'string',
    description: 'only tenants with the label, or with all of several: plan:pro,region:eu',
    valueHint: 'key:value',
  },
  skip: {
    type: 'string',
    description: 'leave out databases or tenants, with commas between',
    valueHint: 'names',
  },
  'on-error': {
    type: 'enum',
    options: ['stop', 'continue'],
    description: 'what a failure does to the other databases; stop by default',
  },
} as const satisfies ArgsDef

/** The fields of /migrate and /admin/revert that choose databases. */
export type FleetFields = DatabaseMembers & Record<string, string | undefined>

/**
 * Returns the fields for the databases that a command is about: one tenant's, those of a schema, those
 * of tenants with labels, or all. A label may narrow a schema.
 * @throws {UsageError} if more than one of these is asked for
 */
export function fleetFields(args: Record<string, unknown>, target: Target): FleetFields {
  const chosen = ['tenant', 'label', 'all', ...(args.label ? ['uuid'] : ['schema'])].filter(
    (name) => args[name],
  )
  if (chosen.length > 1) {
    throw new UsageError(`--${chosen[0]} and --${chosen[1]} exclude each other`)
  }
  const text = (name: string) => (typeof args[name] === 'string' ? args[name] : undefined)
  const fields = { label: text('label'), skip: text('skip'), on_error: text('on-error') }
  const named = schemaMembers(args)
  if (named) return { ...fields, ...named }
  const tenant = args.label || args.all ? undefined : target.tenant
  if (tenant === MAIN) return { ...fields, schema_name: MAIN }
  return { ...fields, tenant_id: tenant }
}

/** Describes the databases that fields choose, for a question. */
export function describeChosen(fields: FleetFields): string {
  const { label, skip } = fields
  const parts = [
    nameOfDatabase(fields) || (label ? '' : 'all databases'),
    label ? `with the label ${label}` : '',
    skip ? `without ${skip}` : '',
  ]
  return parts.filter(Boolean).join(' ')
}
