import dns from 'node:dns'
import { existsSync } from 'node:fs'

/**
 * Preloaded into a gateway: the host name RESOLVED_NAME is 127.0.0.1, until there is a file
 * UNRESOLVED_WHILE. It is asked of the system then, which does not know it.
 */
const { RESOLVED_NAME: name, UNRESOLVED_WHILE: file } = process.env
const { lookup } = dns

dns.lookup = (hostname, ...rest) =>
  lookup(hostname === name && !existsSync(file) ? '127.0.0.1' : hostname, ...rest)
