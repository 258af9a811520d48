import type { Entry } from './command.ts'

/** All commands, in the order of the help. Each is loaded when it is used. */
export const COMMANDS: Record<string, Entry> = {
  start: {
    description: 'Start a gateway, with an embedded PostgreSQL unless DATABASE_URL is set',
    load: () => import('./commands/start.ts'),
  },
  init: {
    description: 'Write a schema folder that deploys, to begin with',
    load: () => import('./commands/init.ts'),
  },
  new: {
    description: 'Add a file to the schema folder',
    commands: {
      migration: {
        description: 'Add the next migration',
        load: () => import('./commands/new-migration.ts'),
      },
      function: {
        description: 'Add a function',
        load: () => import('./commands/new-function.ts'),
      },
    },
  },
  dev: {
    description: 'Deploy a schema folder on save, with a gateway of its own if none is there',
    load: () => import('./commands/dev.ts'),
  },
  lint: {
    description: 'Read a schema folder without a server: errors, losses, long locks, names, tests',
    load: () => import('./commands/lint.ts'),
  },
  test: {
    description: 'Run the SQL tests of a schema folder, each in a transaction that is rolled back',
    load: () => import('./commands/test.ts'),
  },
  register: {
    description: 'Deploy a schema folder to the main database, or to a tenant',
    load: () => import('./commands/register.ts'),
  },
  migrate: {
    description: 'Deploy a schema folder to all databases of the platform, or to some',
    load: () => import('./commands/migrate.ts'),
  },
  plan: {
    description: 'Show what migrate would do: migrations, code with a diff, losses, locks',
    load: () => import('./commands/plan.ts'),
  },
  call: {
    description: 'Call a function: arguments by position, or all as name=value',
    load: () => import('./commands/call.ts'),
  },
  status: {
    description: 'Show who is on which schema',
    load: () => import('./commands/status.ts'),
  },
  drift: {
    description: 'Show what databases have other than their schema',
    load: () => import('./commands/drift.ts'),
  },
  history: {
    description: 'List the deploys, newest first',
    load: () => import('./commands/history.ts'),
  },
  revert: {
    description: 'Take the code of databases back to an earlier archive, or list the archives',
    load: () => import('./commands/revert.ts'),
  },
  tenants: {
    description: 'Make, change and drop tenants',
    commands: {
      list: {
        description: 'List the tenants with their states and labels',
        load: () => import('./commands/tenants/list.ts'),
      },
      create: {
        description: 'Make the database of a new tenant, with the newest schema',
        load: () => import('./commands/tenants/create.ts'),
      },
      label: {
        description: 'Set labels: key:value, or key: to take one away',
        load: () => import('./commands/tenants/label.ts'),
      },
      suspend: {
        description: 'Have the calls of a tenant answered with 503',
        load: () => import('./commands/tenants/suspend.ts'),
      },
      resume: {
        description: 'End a suspension, or take back a drop that is for later',
        load: () => import('./commands/tenants/resume.ts'),
      },
      limit: {
        description: 'Set limits of the calls of a tenant, or show them',
        load: () => import('./commands/tenants/limit.ts'),
      },
      rename: {
        description: 'Rename a tenant and its database; calls wait',
        load: () => import('./commands/tenants/rename.ts'),
      },
      clone: {
        description: 'Copy a tenant with its database; calls wait',
        load: () => import('./commands/tenants/clone.ts'),
      },
      move: {
        description: 'Move a tenant to another server of SERVERS; calls wait',
        load: () => import('./commands/tenants/move.ts'),
      },
      rebalance: {
        description: 'Plan moves that even out the servers of SERVERS',
        load: () => import('./commands/tenants/rebalance.ts'),
      },
      export: {
        description: "Write a tenant's database to a file, in pg_dump's custom format",
        load: () => import('./commands/tenants/export.ts'),
      },
      import: {
        description: 'Make a tenant from such a file',
        load: () => import('./commands/tenants/import.ts'),
      },
      drop: {
        description: 'Drop a tenant, now or later, with a dump before',
        load: () => import('./commands/tenants/drop.ts'),
      },
    },
  },
  usage: {
    description: 'Show who uses how much: by tenant or function, the largest first',
    load: () => import('./commands/usage.ts'),
  },
  types: {
    description: 'Write the types of a platform and a client, in TypeScript or PHP',
    load: () => import('./commands/types.ts'),
  },
  openapi: {
    description: 'Write the functions of a platform, or the endpoints, as OpenAPI',
    load: () => import('./commands/openapi.ts'),
  },
  logs: {
    description: 'Show who changed what, and who was refused',
    load: () => import('./commands/logs.ts'),
  },
  doctor: {
    description: 'Look at settings, machine, PostgreSQL and gateway, and say what to do',
    load: () => import('./commands/doctor.ts'),
  },
  completion: {
    description: 'Write the completion of a shell: bash, zsh or fish',
    load: () => import('./commands/completion.ts'),
  },
}
