import { createServer } from 'node:http'
import type { AddressInfo, Server } from 'node:net'

/** A proxy that loses answers after the gateway has given them. */
export interface LosingProxy extends AsyncDisposable {
  url: string
  /** The Idempotency-Key of each request. */
  keys: (string | undefined)[]
}

/** Starts a proxy before a gateway, which loses the first `lost` answers. */
export async function losing(gateway: string, lost: number): Promise<LosingProxy> {
  const keys: (string | undefined)[] = []
  const server = createServer(async (req, res) => {
    const chunks: Buffer[] = []
    for await (const chunk of req) chunks.push(chunk)
    const key = req.headers['idempotency-key'] as string | undefined
    keys.push(key)
    const isLost = keys.length <= lost
    const answer = await fetch(gateway + req.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(key !== undefined && { 'idempotency-key': key }),
      },
      body: Buffer.concat(chunks),
    })
    const text = await answer.text()
    if (isLost) res.destroy()
    else res.writeHead(answer.status).end(text)
  })
  const url = await listen(server)
  const dispose = async () => {
    server.closeAllConnections()
    server.close()
  }
  return { keys, url, [Symbol.asyncDispose]: dispose }
}

/** Has a server listen on a free port, and returns its address. */
export async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
