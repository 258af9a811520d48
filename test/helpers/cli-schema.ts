import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type CliOptions, type CliResult, cli, cliOutput } from './cli.ts'
import { uniqueName } from './gateway.ts'
import { temporaryFolder } from './process.ts'

/** A schema as `init` writes it, and how to run command lines for it. */
export interface CliSchema {
  platform: string
  folder: string
  env: Record<string, string>
  /** Writes a file below postgresql/. */
  write(path: string, text: string): Promise<void>
  run(...args: string[]): Promise<CliResult>
  /** Runs a command line that has to succeed; returns its output without colour. */
  output(...args: string[]): Promise<string>
  options: CliOptions
}

/** Writes a schema for a new platform of the gateway at `url`; deletes it after the test. */
export async function newSchema(url: string): Promise<CliSchema> {
  const platform = uniqueName('shop')
  const folder = await temporaryFolder()
  await cliOutput(['init', '--platform', platform], { folder })
  const env = { GATEWAY_URL: url }
  const options = { folder, env }
  return {
    platform,
    folder,
    env,
    options,
    write: (path, text) => writeFile(join(folder, 'postgresql', path), text),
    run: (...args) => cli(args, options),
    output: (...args) => cliOutput(args, options),
  }
}

/** Replaces what differs from run to run: durations, checksums, times, and the platform's name. */
export function stable(output: string, { platform }: { platform: string }): string {
  return output
    .replaceAll(platform, 'shop')
    .replace(/\(\d+ ms\)|\(\d+\.\d s\)/g, '(… ms)')
    .replace(/\b[0-9a-f]{12}\b/g, '<checksum>')
    .replace(/\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?/g, '<time>')
}
