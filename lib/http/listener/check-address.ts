import { createServer } from 'node:http'

/**
 * Finds out why an address cannot be used, because listhen does not report it.
 * @throws {Error} with one line that names the setting
 */
export async function checkAddress(host: string, port: number): Promise<void> {
  const probe = createServer()
  await new Promise<void>((resolve, reject) => {
    probe.once('error', reject)
    probe.listen(port, host, resolve)
  }).catch((error: NodeJS.ErrnoException) => {
    const reasons: Record<string, string> = {
      EADDRINUSE: `GATEWAY_PORT: ${port} on ${host} is taken by another process`,
      EACCES: `GATEWAY_PORT: ${port} is not allowed for this user`,
      EADDRNOTAVAIL: `GATEWAY_HOST: ${host} is not an address of this machine`,
      ENOTFOUND: `GATEWAY_HOST: ${host} cannot be resolved`,
    }
    throw new Error(reasons[error.code ?? ''] ?? `GATEWAY_HOST: ${error.message}`)
  })
  await new Promise((resolve) => probe.close(resolve))
}
