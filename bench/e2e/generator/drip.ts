/**
 * Heads that arrive one byte a write, on connections that take turns. The rate is low enough for the proxy to read each byte alone: what
 * a byte costs then is one small read and whatever the proxy does again for every one of them.
 */
import { Client, type ClientUser } from './client.ts'
import { keepPace, nowMicros } from './pace.ts'
import type { DripPlan, DripResult } from './plan.ts'

const fieldBytes = 200
const patienceMicros = 3_000_000

export async function runDrip(plan: DripPlan): Promise<DripResult> {
  const head = makeHead(plan.headBytes)
  const end = Buffer.from(plan.answerEnd, 'latin1')
  let answers = 0
  let errors = 0
  let isEnding = false
  const user: ClientUser = {
    onAnswer: (client, isRight) => {
      if (isRight && client.sentBytes === head.length) answers += 1
      else errors += 1
      client.sentBytes = 0
    },
    onEnd: () => {
      if (!isEnding) errors += 1
    },
  }
  const clients: Client[] = []
  for (let index = 0; index < plan.connections; index += 1) {
    clients.push(
      await new Promise<Client>((resolve, reject) => {
        void new Client(plan.port, end, user, resolve)
        setTimeout(() => reject(new Error('the proxy takes no connections')), 5_000).unref()
      }),
    )
  }
  const interval = 1_000_000 / plan.bytesPerSecond
  const startedAt = nowMicros()
  const stopAt = startedAt + plan.seconds * 1_000_000
  let turns = 0
  let bytes = 0
  await keepPace((now) => {
    for (let due = startedAt + turns * interval; due <= now; due += interval) {
      const client = clients[turns % clients.length]!
      turns += 1
      // One that waits for its answer has no byte to send; and at the end no head is begun.
      if (client.hasEnded || client.sentBytes === head.length || (client.sentBytes === 0 && now > stopAt)) continue
      client.send(head[client.sentBytes]!)
      client.sentBytes += 1
      bytes += 1
    }
    const areDone = clients.every((client) => client.hasEnded || client.sentBytes === 0)
    if (now > stopAt && (areDone || now > stopAt + (head.length * clients.length * interval + patienceMicros))) return null
    return startedAt + turns * interval
  })
  isEnding = true
  for (const client of clients) client.destroy()
  return { bytes, answers, errors }
}

/** Each byte as a string of its own, which is what a write of one byte costs least with. */
function makeHead(headBytes: number): readonly string[] {
  const line = 'GET / HTTP/1.1\r\nHost: bench.example\r\n'
  let head = line
  for (let index = 0; head.length + 2 < headBytes; index += 1) {
    const left = headBytes - 2 - head.length
    const name = `X-Field-${index}: `
    // The last one takes what is left; none is too short to be one.
    const length = left < fieldBytes + name.length + 3 ? left : fieldBytes
    head += `${name}${'v'.repeat(length - name.length - 2)}\r\n`
  }
  return Array.from(`${head}\r\n`)
}
