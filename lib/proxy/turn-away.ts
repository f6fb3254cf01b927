/** The end of a client connection that is one too many: there is no exchange that could end with it. */
import { errorTable } from '../core/errors.ts'
import type { ByteSocket, SocketHandler } from '../net/byte-socket.ts'
import { editLocalHead } from '../policy/head-policy.ts'
import { encodeLocalResponse, withContent } from '../policy/local-response.ts'
import type { ListenerPolicy } from '../policy/policy.ts'

type TooManyConnections = 'ERR_EPROXY_CONNECTIONS_MAX' | 'ERR_EPROXY_CLIENT_CONNECTIONS_MAX'

/** Told so, in one write, unless that is not wanted, and closed. `date`: the time as RFC 9110 section 5.6.7 writes it. */
export function turnAway(socket: ByteSocket, code: TooManyConnections, { listener, fallback }: ListenerPolicy, date: string): void {
  if (listener?.overload !== 'close') {
    const { status, proxyStatus, doc } = errorTable[code]
    const details = code === 'ERR_EPROXY_CONNECTIONS_MAX' ? 'too many connections' : doc
    const { heads, pages } = fallback
    const id = heads?.makeId() ?? ''
    const answer = withContent({ status, error: proxyStatus, details, fields: 'Retry-After: 1\r\n' }, '', pages, id)
    const text = encodeLocalResponse(answer, date, true, false)
    const changes = heads?.changesWithoutHead(socket, id)
    socket.write(changes === undefined ? text : editLocalHead(text, changes.responseEdits, changes.responseAdded))
  }
  socket.destroy()
}

/** Of a connection that is closed as soon as it is accepted. */
export const silentHandler: SocketHandler = {
  onConnect: () => {},
  onData: () => {},
  onEnd: () => {},
  onDrain: () => {},
  onClose: () => {},
  onFault: () => {},
}
