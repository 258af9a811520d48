import type { Node, RangeVar } from 'libpg-query'
import type { Placed } from '../types/existing.ts'
import { scratchSchemas } from '../types/scratch.ts'
import { type Mention, type Step, subjectOf } from '../types/syntax.ts'

/** A declaration with a known schema, of an existing object or one for a scratch schema. */
interface Located extends Placed {
  schema: string
}

/** Statements to run in scratch schemas to learn the columns that files declare. */
export interface ScratchPlan {
  files: Step[][]
  /** Tables that can be compared afterwards. */
  tables: Located[]
  /** Tables that cannot be compared. */
  skipped: Located[]
  /** Scratch schema by schema. */
  schemas: Map<string, string>
  /** Returns the scratch schema for a name; undefined if the name stays as it is. */
  schemaOf: (mention: Mention) => string | undefined
}

/**
 * Selects the statements that declare columns of existing tables, and those that create missing
 * types and sequences for them. References among them are moved to the scratch schemas as well: a
 * foreign key to a real table would wait for its writers.
 * @param files statements of each file, sorted by reference
 */
export function planScratch(
  files: Step[][],
  placed: Placed[],
  currentSchema: string | null,
): ScratchPlan {
  const candidates = new Map(placed.filter(isCandidate).map((one) => [one.step, one]))
  const key = (isType: boolean, schema: string | null | undefined, name: string | undefined) =>
    [isType, schema ?? currentSchema, name].join('\0')
  const keyOf = (one: Located) => key(isType(one), one.schema, one.name)
  const moved = new Map<string, Located>()
  const isMoved = (at: RangeVar | undefined) => moved.has(key(false, at?.schemaname, at?.relname))

  const picked = new Set<Step>()
  const skipped: Located[] = []
  for (const step of files.flat()) {
    const one = candidates.get(step)
    const parent = partitioned(step.node)
    if (one && parent && !isMoved(parent)) {
      skipped.push(one)
    } else if (one) {
      picked.add(step)
      if (!moved.has(keyOf(one))) moved.set(keyOf(one), one)
    }
  }

  const schemas = scratchSchemas([...moved.values()].map(({ schema }) => schema))
  return {
    files: files
      .map((steps) => steps.filter((step) => picked.has(step) || isMoved(columnChange(step.node))))
      .filter((steps) => steps.length > 0),
    tables: [...candidates.values()].filter((one) => isTable(one) && moved.get(keyOf(one)) === one),
    skipped,
    schemas,
    schemaOf: ({ what, schema, name }) => {
      const home = schema ?? currentSchema
      if (home === null) return undefined
      // PostgreSQL creates a sequence without a schema next to its table.
      if (what === 'own sequence') return schema === null ? undefined : schemas.get(home)
      return moved.has(key(what !== 'relation', schema, name)) ? schemas.get(home) : undefined
    },
  }
}

function isCandidate(one: Placed): one is Located {
  if (one.schema === null) return false
  return isTable(one) ? one.existing === 'table' : one.existing === null
}

function isTable({ kind }: Placed): boolean {
  return kind === 'table'
}

function isType({ kind }: Placed): boolean {
  return kind !== 'table' && kind !== 'sequence'
}

/** Returns the table of which the statement creates a partition. */
function partitioned(node: Node | undefined): RangeVar | undefined {
  if (!node || !('CreateStmt' in node) || !node.CreateStmt.partbound) return undefined
  const [parent] = node.CreateStmt.inhRelations ?? []
  return parent && 'RangeVar' in parent ? parent.RangeVar : undefined
}

const COLUMN_COMMANDS = new Set([
  'AT_AddColumn',
  'AT_DropColumn',
  'AT_AlterColumnType',
  'AT_ColumnDefault',
  'AT_SetNotNull',
  'AT_DropNotNull',
  'AT_AddIdentity',
  'AT_SetIdentity',
  'AT_DropIdentity',
  'AT_SetExpression',
  'AT_DropExpression',
  'AT_AddInherit',
])

/** PRIMARY KEY makes columns NOT NULL; foreign keys of other tables require unique columns. */
const COLUMN_CONSTRAINTS = new Set(['CONSTR_PRIMARY', 'CONSTR_UNIQUE', 'CONSTR_NOTNULL'])

/** Returns the table whose columns a statement changes or makes referenceable by foreign keys. */
function columnChange(node: Node | undefined): RangeVar | undefined {
  if (!node) return undefined
  if ('IndexStmt' in node) {
    return node.IndexStmt.unique && !node.IndexStmt.concurrent ? subjectOf(node) : undefined
  }
  if (!('AlterTableStmt' in node)) return undefined
  const changesColumns = (node.AlterTableStmt.cmds ?? []).some((command) => {
    if (!('AlterTableCmd' in command)) return false
    const { subtype = '', def } = command.AlterTableCmd
    if (COLUMN_COMMANDS.has(subtype)) return true
    const constraint = def && 'Constraint' in def ? def.Constraint.contype : undefined
    return COLUMN_CONSTRAINTS.has(constraint ?? '')
  })
  return changesColumns ? subjectOf(node) : undefined
}
