/**
 * Does eproxy hold what passes? One gigabyte up and one down, with a receiver that stalls again and again and with one that reads as fast as it can.
 */
import { messageOf } from '../command.ts'
import { growthBytes, measurePassage, mib } from '../memory/measure.ts'
import type { Entry, Run } from './run.ts'

const bytes = 1_024 * mib
const speeds = [
  { name: 'receiver stalls 50 ms every 8 MiB', stalls: { everyBytes: 8 * mib, stallMs: 50 } },
  { name: 'receiver does not stall', stalls: { everyBytes: 2 * bytes, stallMs: 0 } },
] as const

export interface Passing {
  readonly name: string
  readonly direction: 'upload' | 'download'
  readonly speed: string
  readonly growthBytes: number | null
  readonly mibPerSecond: number | null
  readonly failure: string | null
}

export const largeBodiesSeconds = 40

export async function runLargeBodies(run: Run, entries: readonly Entry[]): Promise<Passing[]> {
  const results: Passing[] = []
  for (const { name, peer } of entries) {
    for (const { name: speed, stalls } of speeds) {
      for (const direction of ['upload', 'download'] as const) {
        run.progress.show(`1 GiB ${direction}, ${speed}: ${name}`)
        const place = { name, direction, speed }
        try {
          const measured = await measurePassage(peer, { direction, bytes, stalls }, run.processes, run.directory)
          const mibPerSecond = bytes / mib / (measured.transferred.milliseconds / 1_000)
          results.push({ ...place, growthBytes: growthBytes(measured), mibPerSecond, failure: null })
        } catch (error) {
          run.signal.throwIfAborted()
          results.push({ ...place, growthBytes: null, mibPerSecond: null, failure: messageOf(error) })
        }
        run.signal.throwIfAborted()
      }
    }
  }
  return results
}
