#!/usr/bin/env node
import { EXIT } from './command.ts'
import { type Io, processIo } from './io.ts'
import { runCli } from './run.ts'

// A reader that has enough (`… | head`) is no failure, unless `exitCode` says that it is. EIO is that
// of a terminal that is closed.
const isGone = ({ code }: NodeJS.ErrnoException) => code === 'EPIPE' || code === 'EIO'
let hasReader = true
process.stdout.on('error', (error) => {
  if (!isGone(error)) {
    process.stderr.write(`The output cannot be written: ${error.message}\n`)
    process.exit(EXIT.failed)
  }
  if (!hasReader) return
  hasReader = false
  // A command that has something to undo hears of it.
  if (!process.emit('SIGTERM', 'SIGTERM')) process.exit()
})
process.stderr.on('error', (error) => {
  if (!isGone(error)) throw error
})
// The process ends by itself: `start` has a gateway that goes on.
process.exitCode = await runCli(process.argv.slice(2), ioOfProcess())

function ioOfProcess(): Io {
  try {
    return processIo()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall !== 'uv_cwd') throw error
    process.stderr.write('The working folder is gone: change into one that is there\n')
    process.exit(EXIT.failed)
  }
}
