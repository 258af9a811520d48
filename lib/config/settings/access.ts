import { parseHosts, parseOrigins } from '../../http/access/cross-site.ts'
import { parseNetworks } from '../../http/access/networks.ts'
import { parsePlatformNetworks } from '../../http/access/platform-networks.ts'
import { integer, list, optional, word } from '../setting.ts'
import { bearerToken, onOrOff, optionalOrRequired } from '../values.ts'

const BLOCKS = 'CIDR blocks, with commas between'

export const ACCESS = {
  allowedNetworks: word('ALLOWED_NETWORKS', BLOCKS, '127.0.0.0/8,10.0.1.0/24', parseNetworks, {
    protects: true,
    about: 'The networks that may send requests, IPv4 and IPv6.',
    edge: 'Others get 403 `unauthorized`. Loopback is always allowed.',
  }),
  trustedProxies: list('TRUSTED_PROXIES', BLOCKS, parseNetworks, {
    none: 'clients have the addresses of their connections',
    protects: true,
    about: 'The proxies whose X-Forwarded-For or Forwarded tells the address of the client.',
    edge: 'A client that connects through a proxy that writes no header is taken for that proxy.',
  }),
  platformNetworks: optional(
    'PLATFORM_NETWORKS',
    'platform=CIDR blocks, with semicolons between',
    parsePlatformNetworks,
    {
      none: 'all clients may name all platforms',
      example: 'myapp=10.0.1.0/28,10.0.3.0/28;other=10.0.2.0/28',
      protects: true,
      about:
        'The only networks that may name a platform, on every endpoint. ALLOWED_NETWORKS apply as well.',
      edge: 'Others get 403 `platform_isolation_violation`. Loopback only where it is listed. Platforms that are not listed are open to all.',
    },
  ),
  adminToken: optional('ADMIN_TOKEN', 'text', bearerToken, {
    none: 'no token is asked for',
    protects: true,
    about:
      'The token that requests below /admin, and of /metrics, bear (`Authorization: Bearer …`).',
    edge: 'A request without it is 401 `unauthorized`. ASCII without spaces.',
    secret: true,
  }),
  platformTokens: word(
    'PLATFORM_TOKENS',
    '`optional` or `required`',
    'optional',
    optionalOrRequired,
    {
      protects: true,
      about:
        "Whether creating databases from stored schemas, and /v2/*, need the platform's token or the admin token where ADMIN_TOKEN is not set.",
      edge: 'Where ADMIN_TOKEN is set, they need a token in any case.',
    },
  ),
  allowedOrigins: list('ALLOWED_ORIGINS', 'origins, with commas between', parseOrigins, {
    none: "the gateway's own pages alone",
    example: 'https://console.example',
    about: 'The origins of other sites whose pages may send requests, as a browser writes them.',
    edge: 'Others get 403 `cross_site_refused`. The gateway sends no CORS headers.',
  }),
  allowedHosts: optional('ALLOWED_HOSTS', 'host names, with commas between', parseHosts, {
    none: 'any name, but for clients from loopback',
    example: 'gateway.internal',
    protects: true,
    about: "The gateway's names in the header Host, without ports.",
    edge: 'Other names get 403 `cross_site_refused`. Addresses and localhost are always taken.',
  }),
  auditRetentionDays: integer(
    'AUDIT_RETENTION_DAYS',
    365,
    [1, 36_500],
    { about: 'How long entries of /admin/audit and /admin/deployments are kept.' },
    'days',
  ),
  usageRetentionDays: integer(
    'USAGE_RETENTION_DAYS',
    400,
    [1, 36_500],
    { about: 'How long the days of /admin/usage are kept.' },
    'days',
  ),
  slowCallMs: integer(
    'SLOW_CALL_MS',
    1000,
    [0, 86_400_000],
    {
      about:
        'The time from which on a call is slow: a line in the log tells it, and /admin/slow keeps it.',
      edge: '0: no call is slow.',
    },
    'milliseconds',
  ),
  slowCallsKept: integer('SLOW_CALLS_KEPT', 200, [1, 10_000], {
    restart: true,
    about: 'How many slow calls of each platform are kept for /admin/slow: the newest.',
    edge: 'At most as long as the hours of /admin/functions.',
  }),
  slowCallPlans: word('SLOW_CALL_PLANS', '`on` or `off`', 'off', onOrOff, {
    about:
      "Whether PostgreSQL's auto_explain is set up for the platforms' roles, so that slow calls have the plans of their statements.",
    edge: "A warning tells where the gateway's role may not. Plans that come without it are kept, too.",
  }),
  functionMinutesHours: integer(
    'FUNCTION_MINUTES_RETENTION_HOURS',
    24,
    [3, 168],
    { restart: true, about: 'How long the minutes of /admin/functions are kept.' },
    'hours',
  ),
  functionHoursDays: integer(
    'FUNCTION_HOURS_RETENTION_DAYS',
    30,
    [1, 400],
    { restart: true, about: 'How long the hours of /admin/functions are kept.' },
    'days',
  ),
}

export const ADMIN_NETWORKS = optional('ADMIN_NETWORKS', BLOCKS, parseNetworks, {
  none: 'as ALLOWED_NETWORKS',
  example: '10.0.9.0/24,127.0.0.0/8',
  protects: true,
  about:
    'The networks that may use what is below /admin, and /metrics, in place of ALLOWED_NETWORKS.',
  edge: 'Others get 403 `unauthorized`. Loopback only where it is listed.',
})

/** The original gateway's name for ADMIN_NETWORKS. */
export const ALLOWED_ADMIN_IPS = optional('ALLOWED_ADMIN_IPS', BLOCKS, parseNetworks, {
  none: 'as ALLOWED_NETWORKS',
  example: '10.0.9.0/24',
  protects: true,
  about: "The original gateway's name for ADMIN_NETWORKS.",
  edge: 'Ignored with a warning where ADMIN_NETWORKS is set. Stops the start where neither DATABASE_URL nor a DB_* setting is set.',
})
