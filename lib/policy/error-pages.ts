/**
 * What operators would rather show than a line of text when the proxy itself answers with an error: pages by status or class of statuses, in
 * HTML or whatever they are, with JSON beside them for clients that would rather have it. Read once, filled in for every answer. It chooses by
 * status only; which form a client gets is for local-response.ts. Responses of servers are none of its business.
 */
import { ProxyError } from '../core/errors.ts'
import type { ErrorPageOptions, PageContentOptions } from '../core/service-options.ts'
import { toOctets, type LocalContent } from './local-response.ts'

/** What can stand in braces. Nothing that a client has sent, but for an id that was checked. */
export interface PageVariables {
  readonly status: string
  readonly reason: string
  /** The id of the exchange in the log; '' for a connection that was turned away before it had one. */
  readonly request_id: string
}

/** Everything else in braces is text: pages are full of style sheets. */
const variablePattern = /\{(status|reason|request_id)\}/

/** A status, or a class of them. */
const keyPattern = /^(?:[45][0-9]{2}|[45]xx)$/

/** Octets of one page: it may be sent for every hostile request that comes. */
const pageBytesMax = 262_144

/** What is wrong with the name of a page, in words; '' when nothing is. */
export function findPageKeyFault(key: string): string {
  return keyPattern.test(key) ? '' : `${JSON.stringify(key)} is no error; write a status such as 404, or 4xx or 5xx for all of a class`
}

/** The same for a media type. */
export function findPageTypeFault(contentType: string): string {
  return /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(contentType) ? '' : 'the media type of a page is ASCII in one line, and not empty'
}

/** The same for the octets of a page. */
export function findPageSizeFault(octets: number): string {
  return octets > pageBytesMax ? `a page has at most ${pageBytesMax / 1_024} KiB, not ${Math.ceil(octets / 1_024)}` : ''
}

/** Throws ProxyError ERR_EPROXY_OPTION. `place`: what they are called to people. */
export function checkErrorPages(pages: Readonly<Record<string, ErrorPageOptions>>, place: string): void {
  for (const [key, { json, ...page }] of Object.entries(pages)) {
    let fault = findPageKeyFault(key)
    for (const { contentType, body } of json === undefined ? [page] : [page, json])
      fault ||= findPageTypeFault(contentType) || findPageSizeFault(Buffer.byteLength(body))
    if (fault !== '') throw new ProxyError('ERR_EPROXY_OPTION', `${place}: ${key}: ${fault}`)
  }
}

/** `pages` go before what is in `behind`. Null when there are none. */
export function makeErrorPages(
  pages: Readonly<Record<string, ErrorPageOptions>> | undefined,
  behind: ErrorPages | null,
): ErrorPages | null {
  return pages === undefined || Object.keys(pages).length === 0 ? behind : new ErrorPages(pages, behind)
}

export interface ErrorPage {
  readonly text: Page
  /** Undefined: what the proxy says in JSON anyway. */
  readonly json: Page | undefined
}

export class ErrorPages {
  readonly #pages: ReadonlyMap<string, ErrorPage>
  readonly #behind: ErrorPages | null

  constructor(pages: Readonly<Record<string, ErrorPageOptions>>, behind: ErrorPages | null) {
    this.#pages = new Map(
      Object.entries(pages).map(([key, { json, ...page }]) => [
        key,
        { text: new Page(page), json: json === undefined ? undefined : new Page(json) },
      ]),
    )
    this.#behind = behind
  }

  /** That of the status itself goes before that of its class. */
  find(status: number): ErrorPage | undefined {
    return this.#pages.get(String(status)) ?? this.#pages.get(`${Math.floor(status / 100)}xx`) ?? this.#behind?.find(status)
  }
}

/** One page, taken apart. */
class Page {
  readonly #type: string
  /** Octets and names of variables by turns, octets first. */
  readonly #parts: readonly string[]
  readonly #escape: (text: string) => string

  constructor({ contentType, body }: PageContentOptions) {
    this.#type = contentType
    this.#parts = toOctets(body).split(variablePattern)
    this.#escape = escapeFor(contentType)
  }

  fill(variables: PageVariables): LocalContent {
    const octets = this.#parts
      .map((part, index) => (index % 2 === 0 ? part : this.#escape(variables[part as keyof PageVariables])))
      .join('')
    return { type: this.#type, octets }
  }
}

/** How a text is written inside of another, so that it stays one. */
function escapeFor(contentType: string): (text: string) => string {
  const [type = ''] = contentType.toLowerCase().split(';')
  if (/[/+]json$/.test(type.trim())) return (text) => JSON.stringify(text).slice(1, -1)
  if (/^text\/html$|[/+]xml$/.test(type.trim())) return (text) => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
  return (text) => text
}
