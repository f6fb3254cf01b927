/** Modules for workers of a group that do not do what they should. Each is a file of its own in a folder that goes with the test. */
import { writeFileSync } from 'node:fs'
import { TemporaryFolder } from './temporary-folder.ts'

const library = new URL('../../lib/index.js', import.meta.url).href

export class WorkerModule implements Disposable {
  readonly #folder = new TemporaryFolder()

  /** `before` runs before the worker has joined the group, `serving` when it is about to serve. */
  constructor({ before = '', serving = '' }: { readonly before?: string; readonly serving?: string }) {
    const text = `
      import { existsSync } from 'node:fs'
      import { createProxy, GroupMember } from '${library}'
      const isMarked = () => existsSync(${JSON.stringify(this.mark)})
      ${before}
      const member = await GroupMember.join()
      const proxy = createProxy({ ...member.options, logger: member.logger })
      ${serving}
      await member.serve(proxy)
    `
    writeFileSync(this.path, text)
  }

  get path(): string {
    return this.#folder.file('worker.mjs')
  }

  /** A file that `isMarked()` in the module looks for. */
  get mark(): string {
    return this.#folder.file('mark')
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]()
  }
}
