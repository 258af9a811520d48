// Plain JavaScript: tsx registers its loader in the main thread only, so it is called here.
import { tsImport } from 'tsx/esm/api'

await tsImport('./thread.ts', import.meta.url)
