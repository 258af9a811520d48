/**
 * `platform-roles`: PostgreSQL keeps the platforms apart, each with a role of its own.
 * `shared-role`: the functions of all platforms run as the gateway's role.
 */
export type Isolation = 'platform-roles' | 'shared-role'
