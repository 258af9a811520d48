// JavaScript, since tsx is a loader of the main thread alone: it is asked for by hand here.
import { tsImport } from 'tsx/esm/api'

await tsImport('./thread.ts', import.meta.url)
