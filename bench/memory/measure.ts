/**
 * One direction through one fresh proxy process: its resident memory while a large message passes whose receiver may stall.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Peer } from '../e2e/peers.ts'
import { startPeer } from '../e2e/start.ts'
import { residentBytesOfTree } from '../process-figures.ts'
import type { ProcessSet } from '../process-set.ts'
import type { Stalls } from './payload.ts'
import { TransferOrigin, type Direction, type TransferPlan, type Transferred } from './transfer.ts'

export interface Passage {
  readonly direction: Direction
  readonly bytes: number
  readonly stalls: Stalls
}

export interface Measured {
  readonly proxy: string
  readonly direction: Direction
  readonly transferred: Transferred
  readonly residentAtStartBytes: number
  readonly residentAfterWarmupBytes: number
  readonly residentPeakBytes: number
  readonly residentAtEndBytes: number
  readonly samples: number
}

export const mib = 1_048_576
export const warmupBytes = 64 * mib
const sampleMs = 100
const settleMs = 200
const deadlineMsPerGib = 60_000

/** A fresh process for each direction: memory that one direction left behind would hide the growth of the next. */
export async function measurePassage(
  peer: Peer,
  { direction, bytes: totalBytes, stalls }: Passage,
  processes: ProcessSet,
  directory: string,
): Promise<Measured> {
  await using origin = await TransferOrigin.listen()
  const place = { upstreamPort: origin.port, directory, accessLogPath: null, connectionsMax: 1_024 }
  const { process: started, port } = await startPeer(processes, peer, place, null)
  const planOf = (bytes: number): TransferPlan => {
    const stallTotalMs = (bytes / stalls.everyBytes) * stalls.stallMs
    return { direction, proxyPort: port, bytes, stalls, deadlineMs: 10_000 + stallTotalMs + (bytes / (1_024 * mib)) * deadlineMsPerGib }
  }
  try {
    const residentAtStartBytes = residentBytesOfTree(started.pid)
    await origin.transfer(planOf(warmupBytes))
    await delay(settleMs)
    const residentAfterWarmupBytes = residentBytesOfTree(started.pid)
    let residentPeakBytes = residentAfterWarmupBytes
    let samples = 0
    const sampler = setInterval(() => {
      residentPeakBytes = Math.max(residentPeakBytes, residentBytesOfTree(started.pid))
      samples += 1
    }, sampleMs)
    const transferred = await origin.transfer(planOf(totalBytes)).finally(() => clearInterval(sampler))
    const residentAtEndBytes = residentBytesOfTree(started.pid)
    residentPeakBytes = Math.max(residentPeakBytes, residentAtEndBytes)
    return {
      proxy: peer.name,
      direction,
      transferred,
      residentAtStartBytes,
      residentAfterWarmupBytes,
      residentPeakBytes,
      residentAtEndBytes,
      samples,
    }
  } finally {
    await processes.end(started)
  }
}

export function growthBytes(entry: Measured): number {
  return entry.residentPeakBytes - entry.residentAfterWarmupBytes
}
