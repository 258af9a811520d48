import type { ChildProcess } from 'node:child_process'

/** A connection of a client on its way to a worker, as node:cluster sends it. */
interface Delivery {
  message: { seq?: number }
  handle: { readonly fd?: number; close?: () => void }
}

type Send = (message: unknown, handle?: unknown, ...more: unknown[]) => boolean

/**
 * Watches the connections that are handed to a worker. node:cluster keeps the parent's handle of each
 * open until the worker has said that it has the connection, and for ever if it dies before: the client
 * would wait without an answer.
 * @returns a function that hands those that the worker has not taken to another one, for when it has
 *   ended; without another one they are closed. Nothing of them has been read.
 */
export function watchDeliveries(worker: ChildProcess): (other: ChildProcess | undefined) => void {
  const deliveries = new Set<Delivery>()
  const send = worker.send.bind(worker) as Send
  // One that it refuses, since it stops, node:cluster hands to another worker itself.
  worker.on('internalMessage', ({ ack }: { ack?: number }) => {
    if (ack === undefined) return
    for (const one of deliveries) if (one.message.seq === ack) deliveries.delete(one)
  })
  worker.send = ((message: unknown, handle?: unknown, ...more: unknown[]) => {
    if (handle) {
      // Of a connection that the worker has taken the parent's handle is closed.
      for (const one of deliveries) if (!isOpen(one)) deliveries.delete(one)
      deliveries.add({ message, handle } as Delivery)
    }
    return send(message, handle, ...more)
  }) as ChildProcess['send']
  return (other) => {
    for (const delivery of deliveries) {
      if (!isOpen(delivery)) continue
      const { message, handle } = delivery
      // The answer of the other one has node:cluster close the handle, as that of the first would.
      if (other?.connected) (other.send as Send)(message, handle)
      else handle.close?.()
    }
    deliveries.clear()
  }
}

function isOpen({ handle }: Delivery): boolean {
  return (handle.fd ?? -1) >= 0
}
