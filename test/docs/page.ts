import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PROJECT } from '../helpers/gateway.ts'

/** A fenced block of a page. */
export interface Block {
  language: string
  text: string
  /** The line of the page on which the block begins, from 1. */
  line: number
  /** The reason in `<!-- not run: reason -->` above the block. */
  notRun: string | undefined
}

/** The text of a page, whose path is relative to the project. */
export function readPage(path: string): Promise<string> {
  return readFile(join(PROJECT, path), 'utf8')
}

/** The fenced blocks of a page, in order. */
export function blocksOf(page: string): Block[] {
  const found = page.matchAll(/(?:^<!-- not run: (.+?) -->\n+)?^```(\w+)\n(.*?)^```$/gms)
  return [...found].map(({ 0: all, 1: notRun, 2: language, 3: text, index }) => {
    const before = page.slice(0, index + all.indexOf('```'))
    return { language: language!, text: text!, line: before.split('\n').length, notRun }
  })
}
