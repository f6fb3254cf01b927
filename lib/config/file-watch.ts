/**
 * Tells that the content of a file may be another one. It watches the folders on the way to the file rather than the file: editors and
 * deployment tools put a new file in its place, and a ConfigMap of Kubernetes is a link to a link to a folder that is exchanged. What
 * the content is, and whether it differs, is for the reader to find out.
 */
import fs from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'

/** Writers make several changes for one; the last of them is what counts. */
const quietMs = 100
/** Who never stops writing is looked at all the same. */
const delayMsMax = 1_000
/** Links to links; a circle has no end. */
const linksMax = 32

export interface FileWatchEvents {
  /** Something happened to the file, or to what leads to it. */
  onChange(): void
  /** It is not watched any more, or not all of it. */
  onError(error: Error): void
}

interface WatchedFolder {
  readonly watcher: fs.FSWatcher
  /** Another folder may have its name by now. */
  readonly identity: string
  names: ReadonlySet<string>
}

export class FileWatch implements Disposable {
  readonly #path: string
  readonly #events: FileWatchEvents
  /** By folder. */
  readonly #watchers = new Map<string, WatchedFolder>()
  #timer: NodeJS.Timeout | undefined
  /** Of the first event that nobody was told of yet. */
  #eventAt = 0
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
    const { folders: wanted, needed } = findFolders(this.#path)
    for (const [folder, { identity }] of this.#watchers) if (!wanted.has(folder) || identity !== identify(folder)) this.#unwatch(folder)
    for (const [folder, names] of wanted) {
      const present = this.#watchers.get(folder)
      if (present !== undefined) present.names = names
      else this.#watch(folder, names, needed.has(folder))
    }
  }

  #watch(folder: string, names: ReadonlySet<string>, isNeeded: boolean): void {
    try {
      const identity = identify(folder)
      const watcher = fs.watch(folder, (_event, name) => {
        // Where the system does not say what it was, it may be ours.
        const isOurs = name === null || this.#watchers.get(folder)?.names.has(name) === true
        // The folder itself: it was moved away, or is gone, and with it whoever watched it.
        const isFolder = name === basename(folder)
        if (isFolder) this.#unwatch(folder)
        if (isOurs || isFolder) this.#onEvent()
      })
      watcher.on('error', (error) => {
        this.#unwatch(folder)
        if (!this.#isClosed) this.#events.onError(error)
      })
      // A service that has nothing else to do may end.
      watcher.unref()
      this.#watchers.set(folder, { watcher, identity, names })
    } catch (error) {
      // Gone since it was found: the folder that it was in tells when there is another. Folders further up need not be readable.
      if (isNeeded && (error as NodeJS.ErrnoException).code !== 'ENOENT') this.#events.onError(error as Error)
    }
  }

  #unwatch(folder: string): void {
    this.#watchers.get(folder)?.watcher.close()
    this.#watchers.delete(folder)
  }

  #onEvent(): void {
    if (this.#isClosed) return
    const now = performance.now()
    if (this.#timer === undefined) this.#eventAt = now
    clearTimeout(this.#timer)
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined
        this.#follow()
        this.#events.onChange()
      },
      Math.max(0, Math.min(quietMs, this.#eventAt + delayMsMax - now)),
    )
  }
}

/** Folders with the names in them by which the file is reached: each link leads to another, and each folder may be replaced itself. */
function findFolders(path: string): { readonly folders: Map<string, Set<string>>; readonly needed: ReadonlySet<string> } {
  const folders = new Map<string, Set<string>>()
  /** Those that hold the file, or a link on the way to it, and not only a folder. */
  const needed = new Set<string>()
  const add = (candidate: string): void => {
    needed.add(dirname(candidate))
    addWithAbove(candidate)
  }
  const addWithAbove = (candidate: string): void => {
    const folder = dirname(candidate)
    const names = folders.get(folder) ?? new Set()
    folders.set(folder, names.add(basename(candidate)))
    if (folder !== dirname(folder)) addWithAbove(folder)
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
  return { folders, needed }
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

/** Of a folder, whatever its name; '' when there is none. */
function identify(folder: string): string {
  const status = fs.statSync(folder, { throwIfNoEntry: false })
  return status === undefined ? '' : `${status.dev}:${status.ino}:${status.birthtimeMs}`
}

function readLink(path: string): string | undefined {
  try {
    return fs.readlinkSync(path)
  } catch {
    return undefined
  }
}
