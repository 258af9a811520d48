import { formatMs } from '../components/format.js'
import { html } from '../html.js'

/** In the order in which they run. */
const STEPS = ['prepare', 'types', 'migrations', 'tables', 'functions', 'seeders', 'commit']

/**
 * How long each step of a deploy took, with bars.
 * @param {{ steps: Record<string, number>, total: number }} props milliseconds by step
 */
export function StepTimes({ steps, total }) {
  return html`
    <table class="plain">
      <thead><tr><th scope="col">Step</th><th scope="col">Took</th><th scope="col">Share</th></tr></thead>
      <tbody>
        ${STEPS.filter((name) => steps[name] !== undefined).map(
          (name) => html`
            <tr>
              <th scope="row">${name}</th>
              <td>${formatMs(steps[name])}</td>
              <td><meter min="0" max=${Math.max(total, 1)} value=${steps[name]} aria-label=${`Share of ${name}`}></meter></td>
            </tr>`,
        )}
      </tbody>
    </table>
  `
}
