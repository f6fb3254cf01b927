/** Socket files that were left behind by a process that was killed are removed; those of a live server are left alone. */
import { lstat, unlink } from 'node:fs/promises'
import net from 'node:net'

/** Afterwards the path can be bound, unless somebody alive has it or it is not a socket. */
export async function removeStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined)
  if (found === undefined || !found.isSocket()) return
  const isLive = await new Promise<boolean>((resolve) => {
    const probe = net.connect({ path })
    probe.on('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'))
    probe.once('connect', () => {
      // Leaves without a reset, which would look like a fault over there, and without keeping this process.
      probe.resume().end()
      probe.unref()
      resolve(true)
    })
  })
  if (!isLive) await unlink(path)
}
