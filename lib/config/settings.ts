import type { Setting, SettingGroup } from './setting.ts'
import { optional } from './setting.ts'
import { ACCESS, ADMIN_NETWORKS, ALLOWED_ADMIN_IPS } from './settings/access.ts'
import { ALERTS } from './settings/alerts.ts'
import { ARCHIVE, HTTP, TLS } from './settings/http.ts'
import { LOG, LOG_LEVEL } from './settings/log.ts'
import { PROCESS } from './settings/process.ts'
import { DATABASE_URL, DATABASE_PARTS as PARTS, SERVER } from './settings/server.ts'
import { TRACING } from './settings/tracing.ts'
import { CALLS, CONNECTIONS, DEPLOYS } from './settings/work.ts'
import { asIs, rustLogLevel } from './values.ts'

export { ADMIN_NETWORKS, ALLOWED_ADMIN_IPS, ARCHIVE, DATABASE_URL, LOG_LEVEL, PARTS, TLS }

/** Read where LOG_LEVEL is not set, as the original gateway does. */
export const RUST_LOG = optional('RUST_LOG', 'level, or target=level pairs', rustLogLevel, {
  example: 'info',
  about: "The original gateway's name for LOG_LEVEL: the level that stands alone is taken.",
  edge: 'Not read where LOG_LEVEL is set.',
})

/** Where the settings are that the environment does not have. Itself of the environment alone. */
export const SETTINGS_FILE = optional('SETTINGS_FILE', 'path', asIs, {
  none: '`.env` in the working directory, if it is there',
  example: '/etc/db-gateway/env',
  restart: true,
  about: 'The file with the settings that the environment does not have.',
  edge: 'Stops the start where it cannot be read, is empty, or has a line that is not `NAME=value`, a comment or blank. Not read in the file itself.',
})

export const LOG_DIR = optional('LOG_DIR', 'path', asIs, {
  example: '/var/log/db-gateway',
  about: 'Of the original gateway. Without effect: the log goes to standard output.',
  edge: 'The start logs a warning.',
})

/** The settings that are each one value of `Config`, by the name of the value. */
export const PLAIN = {
  ...PROCESS,
  ...SERVER,
  ...CALLS,
  ...DEPLOYS,
  ...CONNECTIONS,
  ...HTTP,
  ...ACCESS,
  ...ALERTS,
  ...LOG,
  ...TRACING,
} satisfies SettingGroup

/** A chapter of docs/settings.md and .env.example. */
export interface SettingSection {
  title: string
  settings: Setting<unknown>[]
}

const section = (title: string, ...groups: SettingGroup[]): SettingSection => ({
  title,
  settings: groups.flatMap((group) => Object.values(group)),
})

/** Every setting, in the order of the documents. */
export const SECTIONS: SettingSection[] = [
  section('Where settings are', { SETTINGS_FILE }),
  section('Processes', PROCESS),
  section('PostgreSQL', { DATABASE_URL }, SERVER),
  section('Connections to PostgreSQL', CONNECTIONS),
  section('Calls', CALLS),
  section('Deploys', DEPLOYS),
  section('HTTP', HTTP, ARCHIVE),
  section('Who may send requests', ACCESS, { ADMIN_NETWORKS }),
  section('TLS', TLS),
  section('Log', { LOG_LEVEL }, LOG),
  section('Alerts', ALERTS),
  section('Tracing', TRACING),
  section('Names of the original gateway', PARTS, {
    ALLOWED_ADMIN_IPS,
    RUST_LOG,
    LOG_DIR,
  }),
]

export const ALL_SETTINGS = SECTIONS.flatMap(({ settings }) => settings)

export const SETTING_NAMES = new Set(ALL_SETTINGS.map(({ name }) => name))
