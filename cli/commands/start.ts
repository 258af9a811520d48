import { command } from '../command.ts'

/** The flags of `start` and the settings that they stand for. */
const SETTINGS = {
  port: 'GATEWAY_PORT',
  host: 'GATEWAY_HOST',
  'database-url': 'DATABASE_URL',
  'data-dir': 'DATA_DIR',
} as const

export default command({
  args: {
    port: { type: 'string', description: 'GATEWAY_PORT; 9000 by default', valueHint: 'port' },
    host: { type: 'string', description: 'GATEWAY_HOST; 127.0.0.1 by default', valueHint: 'host' },
    'database-url': {
      type: 'string',
      description: 'DATABASE_URL: the PostgreSQL server',
      valueHint: 'uri',
    },
    'data-dir': {
      type: 'string',
      description: 'DATA_DIR of the embedded PostgreSQL; ./data by default',
      valueHint: 'folder',
    },
  },
  async run(args) {
    for (const [flag, setting] of Object.entries(SETTINGS)) {
      const value = args[flag]
      if (typeof value === 'string') process.env[setting] = value
    }
    // It starts the gateway of this process, which reads its settings from the environment.
    await import('../../server.ts')
    return undefined
  },
})
