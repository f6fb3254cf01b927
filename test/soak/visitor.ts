/**
 * Clients that do nothing wrong, where origins do: every answer is read strictly. It may be an error of the proxy, and it may be cut; it must be
 * well formed, belong to its request, and not look whole when it is not.
 */
import { MessageReader, type MessageHead } from './message-reader.ts'
import type { Raider } from './raider.ts'
import { BodyIntake, checksumOf, frameBody, framingFields, pour } from './tagged-body.ts'

/** Of an answer that an origin gives before it is asked anything. */
export const unaskedTag = 'unasked'

const answerMsMax = 30_000

export async function visit(raider: Raider): Promise<void> {
  const { random } = raider
  const socket = await raider.open('rough')
  const requests = Array.from({ length: random.integer(1, 6) }, (_, index) => ({
    tag: `${raider.tag}-${index}`,
    method: random.pick(['GET', 'GET', 'HEAD', 'POST', 'PUT']),
  }))
  let answered = 0
  let head: MessageHead | undefined
  let intake = new BodyIntake()
  let isInterim = false
  const reader = new MessageReader('response', {
    onHead: (next) => {
      const request = requests[answered]
      if (request === undefined || answered >= sent) throw new Error(`an answer to nothing: ${next.startLine}`)
      isInterim = next.status < 200
      if (isInterim) return 'bodyless'
      head = next
      intake = new BodyIntake()
      return request.method === 'HEAD' ? 'bodyless' : 'framed'
    },
    onBody: (bytes) => intake.take(bytes),
    onComplete: () => {
      if (isInterim) return
      const { tag, method } = requests[answered++]!
      const problem = judge(tag, method, head!, intake)
      if (problem !== undefined) raider.faults.add(`visitor ${method} ${tag}: ${problem}`)
    },
  })
  let sent = 0
  socket.onPiece = (piece) => {
    try {
      reader.push(piece)
    } catch (error) {
      raider.faults.add(`visitor ${requests[answered]?.tag ?? raider.tag}: ${String(error)}`)
      socket.leave('destroy')
    }
  }
  const allAnswered = async (): Promise<boolean> => {
    for (let before = answered; answered < sent; before = answered)
      if (!(await socket.wait(() => answered > before, answerMsMax))) return false
    return true
  }
  const isPipelining = random.chance(0.3)
  for (const { tag, method } of requests) {
    sent++
    const hasBody = method === 'POST' || method === 'PUT'
    const bytes = hasBody ? random.integer(0, random.chance(0.2) ? 300_000 : 2_000) : 0
    const framing = hasBody ? random.pick(['length', 'chunked'] as const) : 'none'
    const fields = hasBody ? `X-Bytes: ${bytes}\r\n${framingFields(framing, bytes)}` : ''
    if (!(await socket.send(`${method} /${tag} HTTP/1.1\r\nHost: rough\r\nX-Tag: ${tag}\r\n${fields}\r\n`))) break
    await pour(socket.socket, frameBody(tag, bytes, framing, random))
    if (!isPipelining && !(await allAnswered())) break
  }
  await allAnswered()
  if (answered === sent && socket.ending === undefined) {
    socket.leave('fin')
    await socket.gone(5_000)
  } else if (!raider.isOver && socket.ending === undefined) {
    raider.faults.add(`visitor ${raider.tag}: no answer and no end within ${answerMsMax} ms, ${answered} of ${sent} answered`)
  }
}

/** What is wrong with a complete answer. */
function judge(tag: string, method: string, head: MessageHead, intake: BodyIntake): string | undefined {
  const from = head.field('X-Tag')
  if (from === '')
    return head.status >= 400 && head.field('Proxy-Status') !== '' ? undefined : `${head.startLine}: neither of an origin nor of the proxy`
  // Said by an origin when it was connected to: to whom came first afterwards, as far as anybody can tell.
  if (from === unaskedTag) return undefined
  if (from !== tag) return `got the answer to ${from}`
  const bytes = Number(head.field('X-Bytes'))
  // Where an origin ends its answer with the connection, a cut one is not to be told from a whole one.
  if (method === 'HEAD' || head.field('X-Framing') === 'close') return undefined
  if (intake.bytes !== bytes) return `${intake.bytes} of ${bytes} bytes look whole`
  return intake.checksum() === checksumOf(`${tag}/answer`, bytes) ? undefined : `${bytes} bytes are not those of its answer`
}
