/** A folder of its own for a test, gone afterwards with all that is in it. */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export class TemporaryFolder implements Disposable {
  readonly path: string

  constructor() {
    this.path = mkdtempSync(join(tmpdir(), 'eproxy-test-'))
    // A server that is started by root gives root up, and has to get in all the same.
    chmodSync(this.path, 0o755)
  }

  file(name: string): string {
    return join(this.path, name)
  }

  [Symbol.dispose](): void {
    // Processes of a program that was ended may be writing their last.
    rmSync(this.path, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
  }
}
