import { useSignal } from '@preact/signals'
import { useEffect, useLayoutEffect, useMemo, useRef } from 'preact/hooks'
import { html } from '../html.js'

/**
 * A column.
 * @typedef {object} Column
 * @property {string} key
 * @property {string} label
 * @property {(row: any) => string | number | null | undefined} [sort] value to sort by; without it, the column is not sorted
 * @property {(row: any) => any} cell
 * @property {boolean} [isNumber] aligned to the right, and sorted from the largest at first
 * @property {boolean} [isHead] the cell names its row
 * @property {boolean} [isWide] left out on a phone
 * @property {string} [width] of the column: '8rem'
 */

/**
 * Makes a column of numbers.
 * @param {string} key member of the rows, too
 * @param {string} label
 * @param {(value: any) => string} format
 * @param {boolean} [isWide]
 * @returns {Column}
 */
export function numberColumn(key, label, format, isWide = false) {
  return {
    key,
    label,
    isNumber: true,
    isWide,
    sort: (row) => row[key],
    cell: (row) => format(row[key]),
  }
}

/**
 * A column of a text that is shown as it is, on wide screens.
 * @param {string} key
 * @param {string} label
 * @returns {Column}
 */
export function textColumn(key, label) {
  return { key, label, isWide: true, sort: (row) => row[key], cell: (row) => row[key] }
}

/** Height of a row in pixels; style.css has the same. */
const ROW = 36

/** `t2` is before `t10`. */
const WORDS = new Intl.Collator('en', { numeric: true })

/** Rows drawn above and below those that are seen. */
const SPARE = 12

/**
 * A table of which only the rows that are seen are in the document, so that thousands scroll.
 * @param {object} props
 * @param {string} props.label what the rows are
 * @param {Column[]} props.columns
 * @param {any[]} props.rows
 * @param {(row: any) => string} props.keyOf
 * @param {string} [props.sort] key of a column, with '-' before it for the largest first
 * @param {(sort: string) => void} [props.onSort] without it the table keeps the order of its rows
 * @param {string} [props.empty] text where there are no rows
 * @param {(row: any) => boolean} [props.isChosen] marks rows
 */
export function Table({
  label,
  columns,
  rows,
  keyOf,
  sort = '',
  onSort,
  empty = 'None',
  isChosen,
}) {
  const box = useRef(/** @type {HTMLElement | null} */ (null))
  const first = useSignal(0)
  const seen = useSignal(20)
  const sorted = useMemo(() => sortRows(rows, columns, sort), [rows, columns, sort])

  const look = () => {
    const element = box.current
    if (!element) return
    first.value = Math.max(0, Math.floor(element.scrollTop / ROW) - SPARE)
    seen.value = Math.ceil(element.clientHeight / ROW) + 2 * SPARE
  }
  useLayoutEffect(look, [sorted.length])
  useEffect(() => {
    if (!box.current) return undefined
    const sizes = new ResizeObserver(look)
    sizes.observe(box.current)
    return () => sizes.disconnect()
  }, [])

  const start = Math.min(first.value, Math.max(0, sorted.length - seen.value))
  const shown = sorted.slice(start, start + seen.value)
  const below = sorted.length - start - shown.length
  return html`
    <div class="scroll" ref=${box} onScroll=${look} tabindex="0" role="region" aria-label=${label}>
      <table class="rows" aria-rowcount=${sorted.length + 1} aria-label=${label}>
        <thead>
          <tr aria-rowindex="1">
            ${columns.map((column) => html`<${Head} column=${column} sort=${sort} onSort=${onSort} />`)}
          </tr>
        </thead>
        <tbody>
          ${start > 0 && html`<${Space} key="above" rows=${start} columns=${columns.length} />`}
          ${shown.map(
            (row, i) => html`
              <tr
                key=${keyOf(row)}
                aria-rowindex=${start + i + 2}
                class=${isChosen?.(row) ? 'chosen' : undefined}
              >
                ${columns.map((column) => html`<${Cell} column=${column} row=${row} />`)}
              </tr>`,
          )}
          ${below > 0 && html`<${Space} key="below" rows=${below} columns=${columns.length} />`}
          ${sorted.length === 0 && html`<tr key="empty"><td colspan=${columns.length} class="faint">${empty}</td></tr>`}
        </tbody>
      </table>
    </div>
  `
}

/** @param {{ column: Column, sort: string, onSort?: (sort: string) => void }} props */
function Head({ column, sort, onSort }) {
  const { key, label, isNumber } = column
  const direction = sort === key ? 'ascending' : sort === `-${key}` ? 'descending' : undefined
  const next =
    direction === undefined
      ? isNumber
        ? `-${key}`
        : key
      : direction === 'ascending'
        ? `-${key}`
        : key
  const sign = direction === undefined ? '' : direction === 'ascending' ? '▲' : '▼'
  return html`
    <th scope="col" class=${classOf(column)} aria-sort=${direction} style=${{ width: column.width ?? '' }}>
      ${
        column.sort && onSort
          ? html`<button type="button" class="sort" onClick=${() => onSort(next)}>
              ${label} <span aria-hidden="true">${sign}</span>
            </button>`
          : label
      }
    </th>
  `
}

/** @param {{ column: Column, row: any }} props */
function Cell({ column, row }) {
  const inside = column.cell(row)
  return column.isHead
    ? html`<th scope="row" class=${classOf(column)}>${inside}</th>`
    : html`<td class=${classOf(column)}>${inside}</td>`
}

/** Stands for rows that are not drawn. @param {{ rows: number, columns: number }} props */
function Space({ rows, columns }) {
  return html`
    <tr class="space" aria-hidden="true">
      <td colspan=${columns} style=${{ height: `${rows * ROW}px` }}></td>
    </tr>
  `
}

/** @param {Column} column */
function classOf({ isNumber, isWide }) {
  return `${isNumber ? 'number ' : ''}${isWide ? 'wide' : ''}`.trim() || undefined
}

/** Values that are not known are last in both directions. @param {any[]} rows @param {Column[]} columns @param {string} sort */
function sortRows(rows, columns, sort) {
  const value = columns.find(({ key }) => key === sort.replace(/^-/, ''))?.sort
  if (!value) return rows
  const sign = sort.startsWith('-') ? -1 : 1
  const pairs = rows.map((row) => ({ row, value: value(row) ?? null }))
  pairs.sort((one, other) => {
    if (one.value === null || other.value === null) {
      return Number(one.value === null) - Number(other.value === null)
    }
    if (typeof one.value === 'string') return sign * WORDS.compare(one.value, String(other.value))
    return sign * (one.value - Number(other.value))
  })
  return pairs.map(({ row }) => row)
}
