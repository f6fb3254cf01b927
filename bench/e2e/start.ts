/**
 * Starts one proxy on a free port and returns when that very process listens on it. The port is chosen before the start, since
 * nginx and HAProxy want it in their configuration. The process belongs to the set that it is started in.
 */
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { listensOn } from '../process-figures.ts'
import type { ProcessSet, StartedProcess } from '../process-set.ts'
import type { Peer, PeerContext } from './peers.ts'

export interface StartedPeer {
  readonly process: StartedProcess
  readonly port: number
}

const startMs = 10_000
const pollMs = 50
const attemptsMax = 3
const portTakenPattern = /EADDRINUSE|address already in use|cannot bind/i

export async function startPeer(
  processes: ProcessSet,
  peer: Peer,
  place: Omit<PeerContext, 'port'>,
  core: number | null,
): Promise<StartedPeer> {
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort()
    const started = await processes.start({ name: peer.name, core, ...peer.prepare({ ...place, port }) })
    const deadline = Date.now() + startMs
    while (!started.hasExited && Date.now() < deadline) {
      if (listensOn(started.pid, port)) return { process: started, port }
      await delay(pollMs)
    }
    const output = (started.stderr + started.stdout).trim().slice(-500)
    if (!started.hasExited) {
      await processes.end(started)
      throw new Error(`it does not listen after ${startMs} ms: ${output}`)
    }
    // Between our look and its bind an outgoing connection of anybody may have got the port.
    if (attempt === attemptsMax || !portTakenPattern.test(output)) throw new Error(`it ended at its start: ${output}`)
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
