import type { ArgsDef, ParsedArgs } from 'citty'
import type { Io } from './io.ts'

/** Name of the program, as messages write it. */
export const PROGRAM = 'database-gateway'

/** Exit codes of all commands. */
export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  /** With --check: there is nothing to do. */
  nothing: 3,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** A command of the command line. */
export interface Command {
  args: ArgsDef
  /** Whether the command takes any number of arguments behind its own, in `args._`. */
  takesMore?: boolean
  /**
   * Runs the command. Without a code it is `done`.
   * @param commands all commands
   */
  run(
    args: Record<string, unknown>,
    io: Io,
    commands: Record<string, Entry>,
  ): Promise<ExitCode | undefined>
}

/** A command that is loaded when it is used, or a group of them. */
export type Entry = { description: string } & (
  | { load: () => Promise<{ default: Command }> }
  | { commands: Record<string, Entry> }
)

/** Defines a command; its arguments have the types of their definitions. */
export function command<const A extends ArgsDef>(definition: {
  args: A
  takesMore?: boolean
  run(args: ParsedArgs<A>, io: Io, commands: Record<string, Entry>): Promise<ExitCode | undefined>
}): Command {
  return definition as Command
}

/** A mistake in what was typed: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** A failure that needs no stack: exit code 1. */
export class Failure extends Error {
  override readonly name = 'Failure'
}

/** The PostgreSQL server that a database is on, or is made on. */
export const SERVER_ARG = {
  server: {
    type: 'string',
    description: 'the PostgreSQL server: main, or one of SERVERS',
    valueHint: 'name',
  },
} as const satisfies ArgsDef

/** The flags of a command that speaks to a gateway. */
export const GATEWAY_ARGS = {
  url: { type: 'string', description: 'URL of the gateway (GATEWAY_URL)', valueHint: 'url' },
  platform: { type: 'string', description: 'the platform (GATEWAY_PLATFORM)', valueHint: 'name' },
  token: {
    type: 'string',
    description: 'ADMIN_TOKEN of the gateway (GATEWAY_TOKEN)',
    valueHint: 'token',
  },
} as const satisfies ArgsDef

export const TENANT_ARG = {
  tenant: { type: 'string', description: 'the tenant (GATEWAY_TENANT)', valueHint: 'id' },
} as const satisfies ArgsDef

/** The flags of a command about a database that `schema_name` and `uuid` may name. */
export const SCHEMA_ARGS = {
  schema: {
    type: 'string',
    description: 'schema_name of the database, in the place of a tenant',
    valueHint: 'name',
  },
  uuid: { type: 'string', description: 'uuid of the tenant of the --schema', valueHint: 'uuid' },
} as const satisfies ArgsDef

export const JSON_ARG = {
  json: { type: 'boolean', description: 'write JSON' },
} as const satisfies ArgsDef

/** The flags of a command about databases of a gateway, which it can write about in JSON. */
export const DATABASE_ARGS = {
  ...GATEWAY_ARGS,
  ...TENANT_ARG,
  ...SCHEMA_ARGS,
  ...JSON_ARG,
} as const satisfies ArgsDef

export const YES_ARG = {
  yes: { type: 'boolean', description: 'do not ask' },
} as const satisfies ArgsDef

export const CHECK_ARG = {
  check: { type: 'boolean', description: 'exit with 3 if there is nothing to do' },
} as const satisfies ArgsDef
