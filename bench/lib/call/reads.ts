import { digits } from '../table.ts'
import { type Bench, print } from './bench.ts'
import {
  compare,
  comparisonRow,
  HEADER,
  middle,
  ofPeer,
  ofPeerCpu,
  ofPgbench,
  type Round,
} from './compare.ts'
import { VOLATILITIES } from './platform.ts'

/** One row by its key, with the function as platforms write it, and with STABLE. */
export async function measureOneRow(bench: Bench): Promise<void> {
  const rows = [HEADER]
  let last: Round[] = []
  for (const { suffix, declared } of VOLATILITIES) {
    const name = `get_item${suffix}`
    const script = `\\set id random(1, 100000)\nselect * from ${name}(:id);\n`
    for (const clients of bench.clients) {
      const call = { name, params: '$id' }
      last = await compare(bench, call, script, { clients })
      rows.push(comparisonRow(`${declared}, ${clients} clients`, last))
      if (clients !== 32) continue
      const what = `one row, ${declared}, ${clients} clients`
      bench.summary.add(`${what}: of pgbench`, ofPgbench(last), { atLeast: 0.3 })
      bench.summary.add(`${what}: of peer`, ofPeer(last), { atLeast: 2.2 })
      bench.summary.add(`${what}: of peer's CPU`, ofPeerCpu(last), { atMost: 0.45 })
    }
  }
  print(
    'One row by primary key',
    rows,
    `pgbench: ${digits(middle(last, ({ pgbench }) => pgbench))} transactions/s. The load generator itself takes ${digits(middle(last, ({ gateway }) => gateway.generatorCpuUs))} µs a call.`,
  )
}

/** 1,000 rows of 5 columns. */
export async function measureManyRows(bench: Bench): Promise<void> {
  const rows = [HEADER]
  for (const { suffix, declared } of VOLATILITIES) {
    const name = `list_items${suffix}`
    const script = `select json_agg(r) from (select * from ${name}(1000)) r;\n`
    const rounds = await compare(bench, { name, params: '1000' }, script, { rows: 1000 })
    rows.push(comparisonRow(`${declared}, 32 clients`, rounds))
    const what = `1,000 rows, ${declared}`
    bench.summary.add(`${what}: of pgbench`, ofPgbench(rounds), { atLeast: 0.85 })
    bench.summary.add(`${what}: of peer's CPU`, ofPeerCpu(rounds), { atMost: 0.125 })
  }
  print('1,000 rows of 5 columns', rows, 'pgbench fetches the same JSON.')
}
