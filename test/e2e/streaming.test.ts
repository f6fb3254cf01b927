/**
 * Large bodies through a proxy that runs in a process of its own, to receivers that are slow: what it holds is bounded by sockets and
 * buffers, not by the size of the body, as the kernel tells of its resident memory; and it lives on.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { TransferOrigin, type Direction } from '../../bench/memory/transfer.ts'
import { residentBytesOfTree } from '../../bench/process-figures.ts'
import { ClientAgent } from '../support/client-agent.ts'
import { open } from '../support/http-client.ts'
import { NodeOrigin } from '../support/node-origin.ts'
import { makePayload } from '../support/payload.ts'
import { RunningProxy } from '../support/running-command.ts'
import { socketFlags } from '../support/socket-access.ts'
import { TemporaryFolder } from '../support/temporary-folder.ts'

const mib = 1_048_576
const growthBytesMax = 16 * mib
const sampleMs = 10
/** The receiver stops so often and so long that the sender is far ahead of it all the time, were it not held back. */
const stalls = { everyBytes: 4 * mib, stallMs: 20 }

describe('memory', { skip: process.platform === 'linux' ? false : 'resident memory is read from /proc' }, () => {
  for (const direction of ['upload', 'download'] as const satisfies readonly Direction[]) {
    test(`no more is needed for ${direction === 'upload' ? 'an upload' : 'a download'} of 256 MiB to a slow receiver than for 32 MiB`, async () => {
      await using origin = await TransferOrigin.listen()
      await using proxy = await RunningProxy.start(['--workers', '1', ...socketFlags, '--upstream', `127.0.0.1:${origin.port}`])
      // Rejects when a byte is lost or changed.
      const transfer = (bytes: number) => origin.transfer({ direction, proxyPort: proxy.port, stalls, bytes, deadlineMs: 120_000 })
      // Both are peaks: between two collections of garbage the figure swings by what was copied meanwhile.
      const small = await peakBytesDuring(proxy.child.process.pid!, () => transfer(32 * mib))
      const large = await peakBytesDuring(proxy.child.process.pid!, () => transfer(256 * mib))
      const grown = `from ${(small / mib).toFixed(1)} to ${(large / mib).toFixed(1)} MiB`
      assert.ok(small > 0 && large - small < growthBytesMax, grown)
    })
  }
})

test('full sockets of many slow readers do not bring the proxy down', async () => {
  using folder = new TemporaryFolder()
  const body = makePayload(8 * mib)
  await using origin = await NodeOrigin.start((_request, response) => response.writeHead(200, { 'content-length': body.length }).end(body))
  // A unix socket holds little: nearly every write finds it full, and its reader is at work at the same moment.
  const socketPath = folder.file('proxy.sock')
  await using proxy = await RunningProxy.start([
    '--workers',
    '1',
    ...socketFlags,
    '--listen',
    `unix:${socketPath}`,
    '--upstream',
    origin.address,
  ])
  let left = 240
  const lane = async (): Promise<void> => {
    using client = new ClientAgent(1)
    while (left-- > 0) {
      const response = await open('http://localhost/', { socketPath, agent: client.agent })
      let bytes = 0
      for await (const chunk of response) bytes += (chunk as Buffer).length
      assert.equal(bytes, body.length)
    }
  }
  await Promise.all([lane(), lane(), lane(), lane()])
  const { exitCode, signalCode } = proxy.child.process
  assert.deepEqual({ exitCode, signalCode }, { exitCode: null, signalCode: null })
})

/** The most resident memory of a process while `work` goes on. */
async function peakBytesDuring(pid: number, work: () => Promise<unknown>): Promise<number> {
  let peak = residentBytesOfTree(pid)
  const sampler = setInterval(() => (peak = Math.max(peak, residentBytesOfTree(pid))), sampleMs)
  try {
    await work()
  } finally {
    clearInterval(sampler)
  }
  return Math.max(peak, residentBytesOfTree(pid))
}
