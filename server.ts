import cluster from 'node:cluster'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'

const handlers = join(import.meta.dirname, 'handlers')
let reload: (() => void) | undefined
let isReloadAsked = false

// Before the parts are loaded, which takes a second: without a listener the signal ends the process.
process.on('SIGHUP', () => {
  isReloadAsked = true
  reload?.()
})
// There is nothing to replace before the workers run.
process.on('SIGUSR2', () => {})

// V8 would allocate the contexts of requests in the old generation after a while, since some live
// longer than two scavenges. There they are dead but not collected until the next full collection,
// and everything that they refer to, such as request and answer, is copied by each scavenge.
setFlagsFromString('--no-allocation-site-pretenuring')

// What a connection keeps is old when the connection gives way to another: most of the old generation is
// garbage then, and V8 would let it grow to three times what lives.
setFlagsFromString('--heap-growing-percent=50')

if (cluster.isWorker) {
  const { runWorker } = await import('./lib/workers/worker.ts')
  await runWorker(handlers)
} else {
  const { runService } = await import('./lib/workers/service.ts')
  reload = await runService(handlers)
  // The file may have changed since it was read.
  if (isReloadAsked) reload()
}
