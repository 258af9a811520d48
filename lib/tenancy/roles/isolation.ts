/**
 * How platforms are kept apart. `platform-roles`: each platform has a PostgreSQL role of its own.
 * `shared-role`: the functions of all platforms run as the gateway's role.
 */
export type Isolation = 'platform-roles' | 'shared-role'
