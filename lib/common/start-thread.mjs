// Plain JavaScript: tsx registers its loader in the main thread only, so a thread calls it here.
import { workerData } from 'node:worker_threads'
import { tsImport } from 'tsx/esm/api'

await tsImport(workerData, import.meta.url)
