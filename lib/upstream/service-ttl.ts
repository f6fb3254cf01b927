/**
 * The TTL of the SRV records of a name, which node does not tell: one question in one datagram, beside that of node's resolver. Nothing but the
 * time is read of what comes back, so that a wrong answer can make the records old or young and nothing else; and one that does not come
 * is no failure. It owns its socket, and gives it up when it knows or is cancelled; how long it is waited for is for the asker to say.
 */
import { randomInt } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { isIP } from 'node:net'

const dnsPort = 53
/** RFC 1035 sections 3.2.2, 3.2.4 and 4.1.1; RFC 2782; RFC 6891 section 6.1.2. */
const typeSrv = 33
const typeOpt = 41
const classInternet = 1
const headerBytes = 12
const recursionDesired = 0x0100
/** A response, to a standard query, without an error. */
const verdictMask = 0xf80f
const verdictGood = 0x8000
/** What fits into a packet on any way (RFC 9715 section 3.1). */
const payloadBytes = 1_232

export class TtlQuery {
  readonly #socket: Socket
  #isOver = false
  readonly #onTtl: (ttlMs: number | undefined) => void

  /** `name` is a host name; `server` is `ip`, `ip:port` or `[ip6]:port`. `onTtl` is called once: undefined when it was not told. */
  constructor(name: string, server: string, onTtl: (ttlMs: number | undefined) => void) {
    this.#onTtl = onTtl
    const { host, port } = parseServer(server)
    const id = randomInt(0x1_0000)
    const socket = createSocket(isIP(host) === 6 ? 'udp6' : 'udp4')
    this.#socket = socket
    socket.on('error', () => this.#settle(undefined))
    socket.on('message', (message) => {
      // What does not belong to the question may come from anybody, and the answer may come yet.
      if (!isAnswer(message, id)) return
      const seconds = readTtl(message)
      this.#settle(seconds === undefined ? undefined : seconds * 1_000)
    })
    // From a port of its own, and from nobody but the server: what is made up has to guess both.
    socket.once('connect', () => {
      if (!this.#isOver) socket.send(encodeQuestion(name, id))
    })
    socket.connect(port, host)
  }

  /** It is not told any more, if it was not yet. */
  cancel(): void {
    this.#settle(undefined)
  }

  #settle(ttlMs: number | undefined): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#socket.close()
    this.#onTtl(ttlMs)
  }
}

function parseServer(server: string): { readonly host: string; readonly port: number } {
  if (isIP(server) !== 0) return { host: server, port: dnsPort }
  const colon = server.lastIndexOf(':')
  return { host: server.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(server.slice(colon + 1)) }
}

/** RFC 1035 section 4.1, with the room for the answer that RFC 6891 asks for. */
export function encodeQuestion(name: string, id: number): Buffer {
  const labels = name.replace(/\.$/, '').split('.')
  const octets = [
    ...[id, recursionDesired, 1, 0, 0, 1].flatMap(toOctets16),
    ...labels.flatMap((label) => [label.length, ...Buffer.from(label, 'latin1')]),
    0,
    ...[typeSrv, classInternet].flatMap(toOctets16),
    0,
    ...[typeOpt, payloadBytes, 0, 0, 0].flatMap(toOctets16),
  ]
  return Buffer.from(octets)
}

function toOctets16(value: number): number[] {
  return [value >> 8, value & 0xff]
}

export function isAnswer(message: Buffer, id: number): boolean {
  return message.length >= headerBytes && message.readUInt16BE(0) === id && (message[2]! & 0x80) !== 0
}

/** The shortest of an answer with SRV records, in seconds: those of names that lead to another one count, too. Undefined for any other answer. */
export function readTtl(message: Buffer): number | undefined {
  if ((message.readUInt16BE(2) & verdictMask) !== verdictGood) return undefined
  const questions = message.readUInt16BE(4)
  const answers = message.readUInt16BE(6)
  let at = headerBytes
  for (let i = 0; i < questions; i++) {
    at = skipName(message, at) + 4
    if (at > message.length) return undefined
  }
  let seconds = Infinity
  let hasService = false
  for (let i = 0; i < answers; i++) {
    at = skipName(message, at)
    // One that was cut off says nothing, and those before it still hold.
    if (at + 10 > message.length) break
    if (message.readUInt16BE(at) === typeSrv) hasService = true
    seconds = Math.min(seconds, message.readUInt32BE(at + 4))
    at += 10 + message.readUInt16BE(at + 8)
  }
  return hasService ? seconds : undefined
}

/** Where the name at `at` ends; beyond the message when it does not. */
function skipName(message: Buffer, at: number): number {
  let end = at
  while (end < message.length) {
    const length = message[end]!
    if (length === 0) return end + 1
    // RFC 1035 section 4.1.4: the rest stands elsewhere.
    if (length >= 0xc0) return end + 2
    if (length >= 0x40) break
    end += 1 + length
  }
  return message.length + 1
}
