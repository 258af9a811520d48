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
  /** The program in `<!-- needs: program -->` above the block, without which it is not run. */
  needs: string | undefined
}

/** The text of a page, whose path is relative to the project. */
export function readPage(path: string): Promise<string> {
  return readFile(join(PROJECT, path), 'utf8')
}

/** The fenced blocks of a page, in order. */
export function blocksOf(page: string): Block[] {
  const found = page.matchAll(/(?:^<!-- (not run|needs): (.+?) -->\n+)?^```(\w+)\n(.*?)^```$/gms)
  return [...found].map(({ 0: all, 1: mark, 2: said, 3: language, 4: text, index }) => ({
    language: language!,
    text: text!,
    line: page.slice(0, index + all.indexOf('```')).split('\n').length,
    notRun: mark === 'not run' ? said : undefined,
    needs: mark === 'needs' ? said : undefined,
  }))
}
