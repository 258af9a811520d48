import { useEffect, useMemo, useRef } from 'preact/hooks'
import { html } from '../html.js'

/**
 * @typedef {object} Line
 * @property {string} label
 * @property {(number | null)[]} values
 * @property {string} [color] name of a custom property of style.css: 'accent', 'bad', 'good', 'warn'
 */

/**
 * Lines over time. `label` says in words what they show, for who does not see them.
 * @param {{ label: string, at: (string | number)[], lines: Line[], format: (value: number | null) => string, height?: number }} props
 */
export function Chart({ label, at, lines, format, height = 180 }) {
  const place = useRef(/** @type {HTMLElement | null} */ (null))
  const chart = useRef(/** @type {any} */ (null))
  const data = useMemo(() => dataOf(at, lines), [at, lines])
  const latest = useRef(/** @type {any} */ (null))
  latest.current = { lines, format, data }
  const looks = lines.map(({ label, color }) => `${label} ${color}`).join()
  useEffect(() => {
    const element = place.current
    if (!element) return undefined
    let isGone = false
    const draw = async () => {
      const { default: UPlot } = await import('uplot')
      if (isGone) return
      chart.current?.destroy()
      const { lines, format, data } = latest.current
      chart.current = new UPlot(optionsOf({ element, lines, format, height }), data, element)
    }
    draw()
    const sizes = new ResizeObserver(() =>
      chart.current?.setSize({ width: element.clientWidth, height }),
    )
    sizes.observe(element)
    // Colours are drawn: another theme needs another drawing.
    const themes = new MutationObserver(draw)
    themes.observe(document.documentElement, { attributeFilter: ['data-theme'] })
    const system = matchMedia('(prefers-color-scheme: dark)')
    system.addEventListener('change', draw)
    return () => {
      isGone = true
      sizes.disconnect()
      themes.disconnect()
      system.removeEventListener('change', draw)
      chart.current?.destroy()
      chart.current = null
    }
  }, [looks, height])
  // Other values alone, as each second brings them, need no other drawing.
  useEffect(() => {
    chart.current?.setData(data)
  }, [data])
  return html`<div class="chart" ref=${place} role="img" aria-label=${label}></div>`
}

/** @param {(string | number)[]} at @param {Line[]} lines @returns {any} */
function dataOf(at, lines) {
  return [at.map((time) => new Date(time).getTime() / 1000), ...lines.map(({ values }) => values)]
}

/**
 * @param {{ element: HTMLElement, lines: Line[], format: (value: number | null) => string, height: number }} asked
 * @returns {any} options of uPlot
 */
function optionsOf({ element, lines, format, height }) {
  const style = getComputedStyle(element)
  // A custom property may be light-dark(…), which a canvas does not know: a colour in use is.
  const colorOf = (/** @type {string} */ name) => {
    const probe = document.createElement('span')
    probe.className = `color-${name}`
    element.append(probe)
    const { color } = getComputedStyle(probe)
    probe.remove()
    return color
  }
  const axis = {
    stroke: style.color,
    grid: { stroke: colorOf('line'), width: 1 },
    ticks: { show: false },
  }
  return {
    width: element.clientWidth,
    height,
    series: [
      {},
      ...lines.map(({ label, color = 'accent' }) => ({
        label,
        points: { show: true, size: 6, filter: lonePoints },
        stroke: colorOf(color),
        width: 2,
        value: (/** @type {any} */ _, /** @type {number | null} */ value) => format(value),
      })),
    ],
    axes: [
      axis,
      {
        ...axis,
        size: 64,
        values: (/** @type {any} */ _, /** @type {number[]} */ values) => values.map(format),
      },
    ],
    scales: {
      y: {
        range: (/** @type {any} */ _, /** @type {number} */ _min, /** @type {number} */ max) => [
          0,
          max || 1,
        ],
      },
    },
    cursor: { drag: { x: false, y: false } },
  }
}

/** Values between two that are missing: no line shows them. @param {any} chart @param {number} series */
function lonePoints({ data }, series) {
  /** @type {(number | null)[]} */
  const values = data[series]
  const isNone = (/** @type {number} */ i) => (values[i] ?? null) === null
  return [...values.keys()].filter((i) => !isNone(i) && isNone(i - 1) && isNone(i + 1))
}
