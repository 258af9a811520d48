import htm from 'htm'
import { h } from 'preact'

/**
 * Makes elements of a template. What is put in becomes text or attributes, never markup.
 * @type {(strings: TemplateStringsArray, ...values: unknown[]) => any}
 */
export const html = htm.bind(h)
