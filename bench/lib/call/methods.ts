import { median } from '../measure.ts'
import { digits, times } from '../table.ts'
import { type Bench, type Call, print, put } from './bench.ts'
import type { Load } from './load.ts'

const CALL = { name: 'get_item_stable', params: '$id' }

/** GET beside POST, of a STABLE function: GET takes no other. */
export async function measureGet(bench: Bench): Promise<void> {
  await measureBeside(bench, 'GET beside POST', { name: 'POST', call: CALL, status: 200 }, [
    { name: 'GET', call: { ...CALL, query: 'p_id=$id' }, status: 200, atMost: 1.2 },
  ])
}

/**
 * Errors beside a success: a RAISE EXCEPTION of a function that succeeds for other callers, and a
 * parameter that does not convert.
 */
export async function measureErrors(bench: Bench): Promise<void> {
  const success = { name: 'success', call: { name: 'get_item', params: '$id' }, status: 200 }
  await measureBeside(bench, 'Errors beside a success', success, [
    {
      name: 'RAISE EXCEPTION',
      call: { name: 'check_item', params: '-$id' },
      before: { name: 'check_item', params: '$id' },
      status: 400,
      atMost: 2,
    },
    {
      name: 'does not convert',
      call: { name: 'get_item', params: '"x$id"' },
      status: 400,
      atMost: 2,
    },
  ])
}

interface Case {
  name: string
  call: Call
  /** Of the gateway's answer; the peer's errors are all 500. */
  status: number
  /** Calls that succeed: a function that has shown itself quick shares sessions. */
  before?: Call
}

/** Measures the gateway's calls against one kind of them, and the peer's beside where it has them. */
async function measureBeside(
  bench: Bench,
  title: string,
  first: Case,
  others: (Case & { atMost: number })[],
): Promise<void> {
  const cases = [{ ...first, atMost: Number.NaN }, ...others]
  const rounds: { gateway: Load; peer: Load | undefined }[][] = []
  for (let i = 0; i < bench.rounds; i++) {
    const round: (typeof rounds)[number] = []
    for (const { call, status, before } of cases) {
      if (before) await put(bench, bench.gateway, before, { status: 200 })
      const gateway = await put(bench, bench.gateway, call, { status })
      const hasPeer = bench.peer && call.query === undefined
      const peerStatus = status === 200 ? 200 : 500
      const peer = hasPeer ? await put(bench, bench.peer!, call, { status: peerStatus }) : undefined
      round.push({ gateway, peer })
    }
    rounds.push(round)
  }
  const rows = [['32 clients', 'calls/s', 'CPU µs', 'PostgreSQL CPU µs', `CPU : ${first.name}`]]
  rows[0]!.push('peer calls/s', 'peer CPU µs')
  cases.forEach(({ name, atMost }, i) => {
    const middle = (value: (round: (typeof rounds)[number]) => number) => median(rounds.map(value))
    const ratio = middle((round) => round[i]!.gateway.cpuUs / round[0]!.gateway.cpuUs)
    const peer = (value: 'perSecond' | 'cpuUs') =>
      digits(middle((round) => round[i]!.peer?.[value] ?? Number.NaN))
    rows.push([
      name,
      digits(middle((round) => round[i]!.gateway.perSecond)),
      digits(middle((round) => round[i]!.gateway.cpuUs)),
      digits(middle((round) => round[i]!.gateway.postgresCpuUs)),
      times(ratio),
      peer('perSecond'),
      peer('cpuUs'),
    ])
    if (i > 0) bench.summary.add(`${name}: CPU of ${first.name}`, ratio, { atMost })
  })
  print(title, rows)
}
