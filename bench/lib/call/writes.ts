import { withSettings } from '../settings.ts'
import { type Bench, print } from './bench.ts'
import { compare, comparisonRow, HEADER, ofPeer } from './compare.ts'

/** A commit takes at least these 3 ms then, as on a slow disk; without siblings too. */
const SLOW_COMMITS = { commit_delay: '3000', commit_siblings: '0' }

/** A write of one row; PostgreSQL flushes each commit to the disk. */
export async function measureWrites(bench: Bench): Promise<void> {
  const rows = [HEADER]
  const measure = async (commits: string) => {
    const script = '\\set id random(1, 100000)\nselect * from add_note(:id);\n'
    const rounds = await compare(bench, { name: 'add_note', params: '$id' }, script, {})
    rows.push(comparisonRow(`${commits}, 32 clients`, rounds))
    bench.summary.add(`a write, ${commits}: of peer`, ofPeer(rounds), { atLeast: 1 })
  }
  await measure('fsync')
  await withSettings(bench.rig, SLOW_COMMITS, () => measure('fsync, commit_delay 3000'))
  print('A write of one row', rows)
}
