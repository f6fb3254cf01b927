/**
 * What happens during a run, one thing after the other, as rows: what is done, and how it is known to have taken effect. Each returns what is
 * worth telling, and throws when the proxy did not do what it should have done.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { ask, type AdminClient } from './admin-client.ts'
import type { LineSocket } from './line-socket.ts'
import type { Stage } from './stage.ts'

export interface Operation {
  readonly stage: Stage
  readonly admin: AdminClient
  readonly log: LineSocket
}

export interface OperateEvent {
  readonly name: string
  readonly needsRedis: boolean
  act(operation: Operation): Promise<string>
}

const pollMs = 25
const patienceMs = 20_000
/** So long a server that gets nothing new is watched. */
const watchMs = 1_000
const reloads = 10
const addedRoute = '\n  - { name: added, match: { path: { exact: /added } }, answer: added }'
/** A route without a group: line and column of the mistake are told. */
const mistake = '\n  - { name: mistaken, upstrem: shop }'
const logins = 12
/** As many as the example allows at once. */
const loginsAllowed = 5

export const eventTable: readonly OperateEvent[] = [
  event('nothing', async () => ''),
  event('a server is killed', async ({ stage }) => {
    await stage.killServer(0)
    return 'SIGKILL'
  }),
  event('it comes back', async (operation) => {
    await operation.stage.startServer(0)
    return `first request after ${await timed(() => servesAgain(operation, 0))}`
  }),
  event('two of three servers are killed', async ({ stage }) => {
    await Promise.all([stage.killServer(0), stage.killServer(1)])
    return 'SIGKILL'
  }),
  event('both come back', async (operation) => {
    await Promise.all([operation.stage.startServer(0), operation.stage.startServer(1)])
    return `first request after ${await timed(() => servesAgain(operation, 0))}`
  }),
  event('a good file', async ({ stage }) => {
    stage.writeConfiguration(withRoute(stage.configuration, addedRoute))
    return `in effect after ${await timed(() => answers(stage, 200))}`
  }),
  event('a bad file', async ({ stage }) => {
    // What a good one said before has to stay; alone, nobody has written that yet.
    stage.writeConfiguration(withRoute(stage.configuration, addedRoute))
    await answers(stage, 200)
    const since = stage.proxyHasSaid
    stage.writeConfiguration(withRoute(stage.configuration, mistake))
    const line = await stage.proxySays(/eproxy\.yaml:\d+:\d+/, since)
    await answers(stage, 200)
    return /eproxy\.yaml:\d+:\d+[^"\\]{0,60}/.exec(line)![0]
  }),
  event(`${reloads} good files in a row`, async ({ stage }) => {
    const took = await timed(async () => {
      for (let index = 0; index < reloads; index += 1) {
        const has = index % 2 === 1
        stage.writeConfiguration(has ? withRoute(stage.configuration, addedRoute) : stage.configuration)
        await answers(stage, has ? 200 : 404)
      }
      stage.writeConfiguration(stage.configuration)
      await answers(stage, 404)
    })
    return took
  }),
  event('a server is drained', async (operation) => {
    const server = operation.stage.places.servers[2]!
    for (const group of ['shop', 'blog']) await operation.admin.setServer(group, server, 'drain')
    const before = countOf(operation, server)
    await delay(watchMs)
    // What ran when it was told to drain may end in it.
    const settled = countOf(operation, server)
    await delay(watchMs)
    const after = countOf(operation, server) - settled
    if (after > 0) throw new Error(`${after} requests reached a server that drains`)
    return `${settled - before} requests ended in it, then none`
  }),
  event('it is enabled', async (operation) => {
    for (const group of ['shop', 'blog']) await operation.admin.setServer(group, operation.stage.places.servers[2]!, 'enable')
    return `first request after ${await timed(() => servesAgain(operation, 2))}`
  }),
  event('every worker is retired', async ({ stage }) => {
    const before = stage.workerPids
    // One at a time, as who replaces them does it. An old one lives on for as long as it has a tunnel.
    for (const [index, pid] of before.entries()) {
      process.kill(pid, 'SIGTERM')
      await until(() => stage.workerPids.filter((other) => !before.includes(other)).length > index, 'a worker in its place')
    }
    return `${before.length} workers, SIGTERM`
  }),
  event('Redis counts', limitsLogins, true),
  event(
    'Redis hangs',
    async (operation) => {
      operation.stage.stopRedis()
      return `SIGSTOP; ${await limitsLogins(operation)}`
    },
    true,
  ),
  event(
    'Redis goes on',
    async ({ stage }) => {
      stage.continueRedis()
      return 'SIGCONT'
    },
    true,
  ),
  event(
    'Redis is killed',
    async (operation) => {
      await operation.stage.killRedis()
      return `SIGKILL; ${await limitsLogins(operation)}`
    },
    true,
  ),
  event(
    'Redis comes back',
    async ({ stage }) => {
      await stage.startRedis()
      return ''
    },
    true,
  ),
]

function event(name: string, act: OperateEvent['act'], needsRedis = false): OperateEvent {
  return { name, needsRedis, act }
}

function withRoute(text: string, route: string): string {
  return text.replace(/^routes:$/m, (line) => line + route)
}

/** The route that the good file adds is there, or is not. */
async function answers(stage: Stage, status: number): Promise<void> {
  let seen = 0
  // Each on a connection of its own, so that workers take turns: all have to agree.
  for (let agreed = 0; agreed < 2 * stage.workerPids.length;) {
    const reply = await ask(stage.places.proxy, 'GET', '/added', { host: 'localhost' })
    agreed = reply.status === status ? agreed + 1 : 0
    if (agreed === 0) {
      seen += pollMs
      if (seen > patienceMs) throw new Error(`a file that was changed has no effect: ${reply.status} and not ${status}`)
      await delay(pollMs)
    }
  }
}

async function servesAgain(operation: Operation, index: number): Promise<void> {
  const server = operation.stage.places.servers[index]!
  const before = countOf(operation, server)
  await until(() => countOf(operation, server) > before, `a request to ${server}`)
}

/** Requests that ended well in a server, as far as the log has told. */
function countOf({ log }: Operation, server: string): number {
  let count = 0
  for (const line of log.lines.values()) if (line.upstream === server && line.term === '--') count += 1
  return count
}

/** The limit of the example holds, whoever counts. */
async function limitsLogins({ stage }: Operation): Promise<string> {
  const replies = await Promise.all(
    Array.from({ length: logins }, () => ask(stage.places.proxy, 'GET', '/login', { host: 'shop.example' })),
  )
  const refused = replies.filter(({ status }) => status === 429).length
  const passed = replies.filter(({ status }) => status === 200).length
  if (refused + passed < logins) throw new Error(`logins were answered with ${replies.map(({ status }) => status).join(' ')}`)
  if (refused === 0 || passed > loginsAllowed * stage.workerPids.length) throw new Error(`${passed} of ${logins} logins passed at once`)
  return `${passed} of ${logins} logins passed, ${refused} got 429`
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let waited = 0; !condition(); waited += pollMs) {
    if (waited > patienceMs) throw new Error(`waited in vain for ${what}`)
    await delay(pollMs)
  }
}

async function timed(act: () => Promise<void>): Promise<string> {
  const startedAt = performance.now()
  await act()
  return `${((performance.now() - startedAt) / 1_000).toFixed(1)} s`
}
