#!/usr/bin/env node
import { processIo } from './io.ts'
import { runCli } from './run.ts'

// A reader that has enough (`… | head`) is no failure, unless `exitCode` says that it is.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit()
  throw error
})
// The process ends by itself: `start` has a gateway that goes on.
process.exitCode = await runCli(process.argv.slice(2), processIo())
