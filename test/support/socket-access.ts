/** How the proxies of the end-to-end tests drive their sockets: EPROXY_SOCKETS=streams runs all of them on the portable way. */
import type { ProxyOptions } from '../../lib/index.ts'

const wanted = process.env['EPROXY_SOCKETS']
if (wanted !== undefined && wanted !== 'handles' && wanted !== 'streams')
  throw new Error(`EPROXY_SOCKETS is handles or streams, not ${wanted}`)

export const socketAccess: Pick<ProxyOptions, 'socketAccess'> = wanted === undefined ? {} : { socketAccess: wanted }

/** The same for a command. */
export const socketFlags: readonly string[] = wanted === undefined ? [] : ['--socket-access', wanted]
