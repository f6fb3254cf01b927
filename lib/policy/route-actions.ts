/** What a route does with a request before any server is asked, compiled from its options: who is let in, with which target, or what is answered. */
import { ProxyError } from '../core/errors.ts'
import type { RouteOptions } from '../core/service-options.ts'
import { AccessList } from '../route/access.ts'
import { RedirectTemplate } from '../route/redirect.ts'
import { PathRewrite } from '../route/rewrite.ts'
import { toOctets, type LocalResponse } from './local-response.ts'
import type { Route } from './route.ts'

export type RouteActions = Pick<Route, 'access' | 'rewrite' | 'answer'>

/** Of a route that leads to a group, with nothing in between. */
export const noActions: RouteActions = Object.freeze({ access: null, rewrite: null, answer: undefined })

/** Throws ProxyError ERR_EPROXY_OPTION. */
export function makeActions({ name, match, action, rewrite, allow, deny }: RouteOptions): RouteActions {
  try {
    return {
      access: allow.length + deny.length === 0 ? null : new AccessList(allow, deny),
      rewrite: rewrite === undefined ? null : new PathRewrite(match.path, rewrite.prefix),
      answer: makeAnswer(action),
    }
  } catch (error) {
    throw new ProxyError('ERR_EPROXY_OPTION', `route ${name}: ${(error as Error).message}`, error)
  }
}

function makeAnswer(action: RouteOptions['action']): Route['answer'] {
  switch (action.kind) {
    case 'proxy':
      return undefined
    case 'redirect': {
      const { status } = action
      const template = new RedirectTemplate(action.location)
      return (head) => ({ status, error: '', details: '', fields: `Location: ${template.fill(head)}\r\n` })
    }
    case 'answer': {
      const { status, contentType, body } = action
      if (!Number.isInteger(status) || status < 200 || status > 599)
        throw new ProxyError('ERR_EPROXY_OPTION', `the status of an answer is a whole number from 200 to 599, not ${status}`)
      if (!/^[\x20-\x7e]*$/.test(contentType)) throw new ProxyError('ERR_EPROXY_OPTION', 'contentType is not ASCII in one line')
      const content = Object.freeze({ type: contentType.trim(), octets: toOctets(body) })
      const answer: LocalResponse = Object.freeze({ status, error: '', details: '', fields: '', content })
      return () => answer
    }
  }
}
