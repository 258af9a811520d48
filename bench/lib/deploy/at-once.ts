import type { Rig } from '../rig.ts'
import { register } from './gateway.ts'

/** How many containers ask at once. */
export const REQUESTS = 1000

const AIM_SECONDS = 10

/** Seconds until all of many requests to `/register` are answered that are sent at once, and find their archive in place. */
export async function measureAtOnce(
  rig: Rig,
  platform: string,
  tenants: string[],
  archive: Uint8Array,
): Promise<number> {
  const started = performance.now()
  await Promise.all(
    Array.from({ length: REQUESTS }, (_, i) =>
      register(rig, platform, tenants[i % tenants.length]!, archive, {
        migrations: 0,
        functions: 0,
      }),
    ),
  )
  return (performance.now() - started) / 1000
}

export function describeAtOnceAim(seconds: number): string {
  const verdict = seconds < AIM_SECONDS ? 'ok' : 'missed'
  return `${REQUESTS} unchanged /register at once in ${AIM_SECONDS} s: ${seconds.toFixed(1)} s ${verdict}`
}
