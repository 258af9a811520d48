import type { Node, RangeVar } from 'libpg-query'
import type { Placed } from '../types/existing.ts'
import { scratchSchemas } from '../types/scratch.ts'
import { type Mention, type Step, subjectOf } from '../types/syntax.ts'

/** Something of a file that exists, or that goes into a scratch schema. */
interface Located extends Placed {
  schema: string
}

/** What to run in scratch schemas to see the columns that files declare. */
export interface ScratchPlan {
  files: Step[][]
  /** The tables that can be compared then. */
  tables: Located[]
  /** The tables that cannot. */
  skipped: Located[]
  /** The scratch schema for each schema. */
  schemas: Map<string, string>
  /** The scratch schema for a name; undefined where the name stays. */
  schemaOf: (mention: Mention) => string | undefined
}

/**
 * Picks the statements that make the columns of tables that exist, and the types and sequences for
 * them that do not exist. What they refer to among each other goes into the scratch schemas too: a
 * foreign key to a real table would wait for those who write to it. `files` are sorted by reference.
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
      // PostgreSQL itself puts it beside its table where it has no schema.
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

/** The table of which the statement creates a partition. */
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

/** A primary key makes columns NOT NULL; foreign keys of other tables need unique ones. */
const COLUMN_CONSTRAINTS = new Set(['CONSTR_PRIMARY', 'CONSTR_UNIQUE', 'CONSTR_NOTNULL'])

/** The table whose columns the statement changes, or makes fit for foreign keys. */
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
