/** Kinds in the order in which they are dropped; all others come last. */
const KINDS = [
  'rule',
  'policy',
  'trigger',
  'index',
  'view',
  'materialized view',
  'cast',
  'operator',
]

/** Compares so that dependants come first, as far as kinds show that. */
export function byKind(
  { object: a }: { object: { kind: string; oid: string } },
  { object: b }: { object: { kind: string; oid: string } },
): number {
  const rank = ({ kind }: { kind: string }) => (KINDS.includes(kind) ? KINDS.indexOf(kind) : 9)
  return rank(a) - rank(b) || Number(b.oid) - Number(a.oid)
}
