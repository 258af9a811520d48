import { getRouterParam, type H3Event, type HTTPResponse } from 'h3'
import { GatewayError } from '../errors.ts'
import { answerDocument } from '../http/answer/answer-document.ts'
import { readQuery } from '../http/body/page-query.ts'
import type { Page } from './page.ts'

/** The path of a file changes with its content. */
const IMMUTABLE = { 'cache-control': 'private, max-age=31536000, immutable' }

/** Answers with the document of a page. */
export function answerPage(event: H3Event, page: Page): Promise<HTTPResponse> {
  readQuery(event, [])
  return answerDocument(event, 'text/html; charset=utf-8', page.html, page.headers)
}

/**
 * Answers with a file of a page, which the path names: its version, a folder or none, and the file.
 * @param name of the page: `/docs`
 * @throws {GatewayError} not_found for another version, and for no file
 */
export function answerPageFile(event: H3Event, page: Page, name: string): Promise<HTTPResponse> {
  const [version, folder, file] = ['version', 'folder', 'file'].map((part) =>
    getRouterParam(event, part),
  )
  const found = page.files.get(folder === undefined ? `${file}` : `${folder}/${file}`)
  if (!found || version !== page.version) {
    throw new GatewayError('not_found', `The page ${name} has no such file: load it again`)
  }
  return answerDocument(event, found.type, found.bytes, { ...page.headers, ...IMMUTABLE })
}
