import { setTimeout as sleep } from 'node:timers/promises'
import { median } from '../measure.ts'
import { query, type Rig, withRig } from '../rig.ts'
import { digits } from '../table.ts'
import { type Files, pack } from './clinic.ts'
import { register } from './gateway.ts'

export const MIGRATIONS = 50
export const FUNCTIONS = 100

/** How many times faster a tenant from the template is meant to be. */
const AIM = 4

const PLATFORM = 'template'
/** What a new tenant of the platform comes to. */
export const EXPECTED = { migrations: MIGRATIONS, functions: FUNCTIONS }

/** Median milliseconds of a new tenant. */
export interface TenantTimes {
  files: number
  template: number
  repeat: number
}

/** Measures new tenants of a platform, one after the other: from its files, and from its template. */
export async function measureTemplate(
  stopping: AbortController,
  repeat: number,
): Promise<TenantTimes> {
  const archive = await pack(platformFiles())
  const measureTenants = (templates: 'on' | 'off') =>
    withRig({ LOG_LEVEL: 'warn', TEMPLATES: templates }, stopping, async (rig) => {
      for (const warmUp of ['one', 'two', 'three']) {
        await register(rig, PLATFORM, warmUp, archive, EXPECTED)
        if (templates === 'on') await untilReady(rig)
      }
      const times: number[] = []
      for (let i = 1; i <= repeat; i++) {
        const started = performance.now()
        await register(rig, PLATFORM, `${i}`, archive, EXPECTED)
        times.push(performance.now() - started)
      }
      return median(times)
    })
  return { files: await measureTenants('off'), template: await measureTenants('on'), repeat }
}

/** Waits until the template database of the rig's only platform can be copied. */
export async function untilReady(rig: Rig): Promise<void> {
  for (;;) {
    const ready = await query(
      rig,
      undefined,
      `select 'yes' as text from _db_gateway_templates where state = 'ready' and generates is null`,
    )
    if (ready) return
    rig.signal.throwIfAborted()
    await sleep(50)
  }
}

/** A table a migration, with an index and a column that says when; functions in two languages. */
export function platformFiles(): Files {
  const files: Files = {}
  for (let i = 1; i <= MIGRATIONS; i++) {
    const name = `table_${i}`
    files[`migrations/${`${i}`.padStart(3, '0')}_${name}.pssql`] = `
      create table ${name} (
        id serial primary key, name text not null, amount numeric(12,2) not null default 0,
        made_at timestamptz not null default now()
      );
      create index ${name}_name on ${name} (name);
    `
  }
  for (let i = 1; i <= FUNCTIONS; i++) {
    const table = `table_${1 + (i % MIGRATIONS)}`
    const name = `function_${i}`
    files[`functions/${name}.pssql`] =
      i % 2 === 0
        ? `create or replace function ${name}(p_id int) returns text language sql stable as $$
             select name from ${table} where id = p_id $$;`
        : `create or replace function ${name}(p_name text) returns int language plpgsql as $$
             declare v_id int;
             begin insert into ${table} (name) values (p_name) returning id into v_id; return v_id; end $$;`
  }
  return files
}

export function describeTemplate({ files, template, repeat }: TenantTimes): string {
  return `A new tenant, ${MIGRATIONS} migrations and ${FUNCTIONS} functions, nothing else going on, median of ${repeat}
from the files ${digits(files)} ms; from the template ${digits(template)} ms`
}

export function describeTemplateAim({ files, template }: TenantTimes): string {
  const ratio = files / template
  const verdict = ratio >= AIM ? 'ok' : 'missed'
  return `a tenant from the template at least ${AIM} times faster than from the files: ${ratio.toFixed(1)} ${verdict}`
}
