/**
 * A DNS server in the test's own process, over UDP: it says what the test tells it to, and remembers what it was asked. Closed with the test.
 */
import assert from 'node:assert/strict'
import { createSocket, type RemoteInfo } from 'node:dgram'
import { once } from 'node:events'
import type { TestContext } from 'node:test'
import { RECURSION_AVAILABLE, RECURSION_DESIRED, decode, encode, type Answer, type DecodedPacket } from 'dns-packet'

export const rcode = { noError: 0, serverFailure: 2, nameError: 3, refused: 5 } as const

/** What the server says to one question: datagrams, sent in this order. None: silence. */
export type Reply = readonly Buffer[]

export interface NameServer {
  readonly address: string
  /** Questions in the order of arrival, as `A app.test`. */
  readonly asked: string[]
  reply: (query: DecodedPacket, type: string) => Reply
  /** Sends to where the last question came from, later than anyone expects it. */
  sendLate(datagrams: Reply): Promise<void>
}

export async function startNameServer(t: TestContext, reply: NameServer['reply'], port = 0): Promise<NameServer> {
  const socket = createSocket('udp4')
  socket.bind(port, '127.0.0.1')
  await once(socket, 'listening')
  t.after(() => new Promise<void>((resolve) => socket.close(resolve)))
  let client: RemoteInfo | undefined
  const server: NameServer = {
    address: `127.0.0.1:${socket.address().port}`,
    asked: [],
    reply,
    async sendLate(datagrams) {
      assert.ok(client)
      const { port: clientPort, address } = client
      for (const datagram of datagrams) await new Promise((resolve) => socket.send(datagram, clientPort, address, resolve))
    },
  }
  socket.on('message', (message, sender) => {
    client = sender
    const query = decode(message)
    const question = query.questions?.[0]
    assert.ok(question)
    server.asked.push(`${question.type} ${question.name}`)
    for (const datagram of server.reply(query, question.type)) socket.send(datagram, sender.port, sender.address)
  })
  return server
}

export function answerTo(query: DecodedPacket, records: readonly Answer[], code: number = rcode.noError, flags = 0): Buffer {
  return encode({
    type: 'response',
    id: query.id ?? 0,
    flags: RECURSION_DESIRED | RECURSION_AVAILABLE | flags | code,
    questions: query.questions ?? [],
    answers: [...records],
  })
}

/** Answers every question from two lists of addresses; a family without addresses is NODATA. */
export function zone(v4: readonly string[], v6: readonly string[] = [], ttl = 60): NameServer['reply'] {
  return (query, type) => {
    const name = query.questions?.[0]?.name ?? ''
    const records =
      type === 'A'
        ? v4.map((data): Answer => ({ type: 'A', name, ttl, data }))
        : v6.map((data): Answer => ({ type: 'AAAA', name, ttl, data }))
    return [answerTo(query, records)]
  }
}

/** Answers with this code and no record. */
export const code =
  (value: number): NameServer['reply'] =>
  (query) => [answerTo(query, [], value)]
/** Says nothing. */
export const silence: NameServer['reply'] = () => []

export interface ZoneRecord {
  readonly name: string
  readonly type: 'A' | 'AAAA' | 'SRV'
  readonly ttl?: number
  /** An address, or `priority weight port target`. */
  readonly data: string
}

/** Answers from a list that the test may change at any time. A name that is not in it does not exist. */
export function zoneOf(records: readonly ZoneRecord[]): NameServer['reply'] {
  return (query, type) => {
    const name = query.questions?.[0]?.name ?? ''
    const ofName = records.filter((record) => record.name === name.toLowerCase())
    if (ofName.length === 0) return [answerTo(query, [], rcode.nameError)]
    const answers = ofName.filter((record) => record.type === type).map(toAnswer)
    return [answerTo(query, answers)]
  }
}

function toAnswer({ name, type, ttl = 60, data }: ZoneRecord): Answer {
  if (type !== 'SRV') return { type, name, ttl, data }
  const [priority, weight, port, target = ''] = data.split(' ')
  return { type, name, ttl, data: { priority: Number(priority), weight: Number(weight), port: Number(port), target } }
}
