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
  completion: {
    description: 'Write the completion of a shell: bash, zsh or fish',
    load: () => import('./commands/completion.ts'),
  },
}
