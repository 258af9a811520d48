import { isIP } from 'node:net'

/** Returns whether a host, as a URL or a setting names it, is this machine under its own name for itself. */
export function isLoopbackHost(host: string): boolean {
  if (host.toLowerCase() === 'localhost' || host === '::1' || host === '[::1]') return true
  return isIP(host) === 4 && host.startsWith('127.')
}
