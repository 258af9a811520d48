import type { Risk } from '../deploy/parser/risks.ts'
import type { Statement } from '../deploy/parser/statement.ts'
import type { Said } from './finding.ts'

const ALLOW =
  'If the rows are not needed, write "-- gateway: allow-data-loss" before the first statement of the file'

const LATER = 'Let the functions that use it go first, and drop it in a later release'

/**
 * Returns what a statement may take away, as a deploy asks about it before it runs. Relations that
 * the file itself makes are no loss.
 * @param isNew whether the file makes the relation (its name as SQL names it)
 */
export function lossesOf(
  { risks, hidden }: Statement,
  isNew: (relation: string) => boolean,
): Said[] {
  const behind = hidden?.risks ?? []
  return [...risks, ...behind].flatMap((risk) => {
    const said = describe(risk, isNew)
    return said ? [said] : []
  })
}

function describe(risk: Risk, isNew: (relation: string) => boolean): Said | undefined {
  const loss = (message: string, instead: string): Said => ({
    rule: 'data-loss',
    message,
    advice: `${instead}. ${ALLOW}`,
  })
  switch (risk.kind) {
    case 'drop': {
      const names = risk.what === 'routine' ? [] : risk.names.filter((name) => !isNew(name))
      if (risk.what !== 'routine' && names.length === 0) return undefined
      const cascade = risk.cascade ? ' and what depends on it' : ''
      const what = risk.what === 'relation' ? 'table or sequence' : risk.what
      return loss(
        `Drops the ${what} ${names.join(', ')}`.trimEnd() + cascade,
        risk.cascade ? 'Name what is to be dropped, without CASCADE' : LATER,
      )
    }
    case 'drop column':
      if (isNew(risk.relation)) return undefined
      return loss(`Drops the column ${risk.relation}.${risk.column}`, LATER)
    case 'drop attribute':
      return loss(
        `Drops the attribute ${risk.attribute} of ${risk.type} from every stored value`,
        'Add a new type, and move the columns to it',
      )
    case 'drop owned':
      return loss('Drops everything that a role owns', 'Name what is to be dropped')
    case 'change type':
      // Every value has a text.
      if (isNew(risk.relation) || (!risk.isComputed && isText(risk.to.name))) return undefined
      return loss(
        `Changes ${risk.relation}.${risk.column} to ${risk.to.name}, which may not hold every value`,
        'Where the type is narrower: add a column of the new type, fill it, and drop the old one in a later release',
      )
    case 'truncate': {
      const names = risk.relations.filter((name) => !isNew(name))
      if (names.length === 0) return undefined
      return loss(`Takes all rows of ${names.join(', ')}`, 'Delete rows by a condition')
    }
    case 'delete':
      if (isNew(risk.relation)) return undefined
      return loss(`Deletes all rows of ${risk.relation}`, 'Give DELETE a condition')
    case 'detach':
      return loss(
        `Takes the rows of ${risk.relation} from its parent`,
        'Detach it once its rows are archived',
      )
    case 'set unlogged':
      if (isNew(risk.relation)) return undefined
      return loss(
        `Makes ${risk.relation} unlogged: PostgreSQL empties it after a crash`,
        'Leave it logged',
      )
    case 'listed':
      return {
        rule: 'weaker-rule',
        message: `${risk.change.replaceAll('_', ' ')}: ${risk.name ?? ''} on ${risk.table}`.replace(
          ':  on',
          ' on',
        ),
        advice: 'Rows that break the rule are taken from then on; put another rule in its place',
      }
  }
}

function isText(type: string): boolean {
  return /^(?:"?pg_catalog"?\.)?"?(?:text|varchar)"?$/.test(type)
}
