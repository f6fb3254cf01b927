/**
 * Tells that the content of a file may be another one. It watches the folders on the way to the file rather than the file: editors and
 * deployment tools put a new file in its place, and a ConfigMap of Kubernetes is a link to a link to a folder that is exchanged. What
 * the content is, and whether it differs, is for the reader to find out.
 */
import fs from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'

/** Writers make several changes for one; the last of them is what counts. */
const quietMs = 100
/** Links to links; a circle has no end. */
const linksMax = 32

export interface FileWatchEvents {
  /** Something happened to the file, or to what leads to it. */
  onChange(): void
  /** It is not watched any more, or not all of it. */
  onError(error: Error): void
}

export class FileWatch implements Disposable {
  readonly #path: string
  readonly #events: FileWatchEvents
  /** By folder. */
  readonly #watchers = new Map<string, { readonly watcher: fs.FSWatcher; names: ReadonlySet<string> }>()
  #timer: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(path: string, events: FileWatchEvents) {
    this.#path = resolve(path)
    this.#events = events
    this.#follow()
  }

  [Symbol.dispose](): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    for (const { watcher } of this.#watchers.values()) watcher.close()
    this.#watchers.clear()
  }

  /** Watches the folders that now lead to the file. */
  #follow(): void {
    const wanted = findFolders(this.#path)
    for (const [folder, { watcher }] of this.#watchers) {
      if (wanted.has(folder)) continue
      watcher.close()
      this.#watchers.delete(folder)
    }
    for (const [folder, names] of wanted) {
      const present = this.#watchers.get(folder)
      if (present !== undefined) present.names = names
      else this.#watch(folder, names)
    }
  }

  #watch(folder: string, names: ReadonlySet<string>): void {
    try {
      const watcher = fs.watch(folder, (_event, name) => {
        // Where the system does not say what it was, it may be ours.
        if (name === null || this.#watchers.get(folder)?.names.has(name) === true) this.#onEvent()
      })
      watcher.on('error', (error) => {
        watcher.close()
        this.#watchers.delete(folder)
        if (!this.#isClosed) this.#events.onError(error)
      })
      // A service that has nothing else to do may end.
      watcher.unref()
      this.#watchers.set(folder, { watcher, names })
    } catch (error) {
      this.#events.onError(error as Error)
    }
  }

  #onEvent(): void {
    if (this.#isClosed) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#follow()
      this.#events.onChange()
    }, quietMs)
  }
}

/** Folders with the names in them by which the file is reached: each link leads to another. */
function findFolders(path: string): Map<string, Set<string>> {
  const folders = new Map<string, Set<string>>()
  const add = (candidate: string): void => {
    const folder = dirname(candidate)
    const names = folders.get(folder) ?? new Set()
    folders.set(folder, names.add(basename(candidate)))
  }
  // Every step of the way may be a link, not only the last one: `config.yaml -> ..data/config.yaml`, `..data -> ..2026_01/`.
  let pending = [path]
  for (let round = 0; round < linksMax && pending.length > 0; round++) {
    pending = pending.flatMap((candidate) => {
      add(candidate)
      const link = findLink(candidate)
      if (link === undefined) return []
      add(link.path)
      return [resolve(dirname(link.path), link.target, link.rest)]
    })
  }
  for (const folder of folders.keys()) if (!fs.existsSync(folder)) folders.delete(folder)
  return folders
}

/** The first step of the way to `path` that is a link. */
function findLink(path: string): { readonly path: string; readonly target: string; readonly rest: string } | undefined {
  const steps = path.split('/').slice(1)
  let walked = '/'
  for (const [index, step] of steps.entries()) {
    walked = join(walked, step)
    const target = readLink(walked)
    if (target !== undefined) return { path: walked, target, rest: steps.slice(index + 1).join('/') || '.' }
  }
  return undefined
}

function readLink(path: string): string | undefined {
  try {
    return fs.readlinkSync(path)
  } catch {
    return undefined
  }
}
