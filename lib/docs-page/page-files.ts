import { type Page, readPage } from '../pages/page.ts'

let page: Page | undefined

/** Returns the page /docs, which is read once. */
export function docsPage(): Page {
  page ??= readPage(new URL('./page/', import.meta.url))
  return page
}
