/** Changes of a file are seen in all the ways in which files are changed. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { FileWatch } from '../../lib/config/file-watch.ts'
import { until } from '../support/patience.ts'
import { TemporaryFolder } from '../support/temporary-folder.ts'

/** A watch that reads the file whenever it is told of a change. */
class Reader implements Disposable {
  readonly seen: string[] = []
  readonly errors: Error[] = []
  readonly #watch: FileWatch

  constructor(path: string) {
    this.#watch = new FileWatch(path, {
      onChange: () => {
        if (fs.existsSync(path)) this.seen.push(fs.readFileSync(path, 'utf8'))
      },
      onError: (error) => this.errors.push(error),
    })
  }

  async saw(text: string): Promise<void> {
    await until(
      () => this.seen.at(-1) === text,
      () => `${text}; seen were ${this.seen.join(', ')}; ${this.errors.join(', ')}`,
    )
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]()
  }
}

test('a file that is written in place, twice', async () => {
  using folder = new TemporaryFolder()
  const path = folder.file('a.yaml')
  fs.writeFileSync(path, 'one')
  using reader = new Reader(path)
  fs.writeFileSync(path, 'two')
  await reader.saw('two')
  fs.writeFileSync(path, 'three')
  await reader.saw('three')
})

test('a file that another one takes the place of, again and again', async () => {
  using folder = new TemporaryFolder()
  const path = folder.file('a.yaml')
  fs.writeFileSync(path, 'one')
  using reader = new Reader(path)
  for (const text of ['two', 'three', 'four']) {
    fs.writeFileSync(folder.file('.a.yaml.swp'), text)
    fs.renameSync(folder.file('.a.yaml.swp'), path)
    await reader.saw(text)
  }
})

test('a file that is removed and comes back', async () => {
  using folder = new TemporaryFolder()
  const path = folder.file('a.yaml')
  fs.writeFileSync(path, 'one')
  using reader = new Reader(path)
  fs.rmSync(path)
  fs.writeFileSync(path, 'two')
  await reader.saw('two')
})

test('a folder that is removed, or moved away, and comes back with another file', async () => {
  using outer = new TemporaryFolder()
  const folder = outer.file('outer/inner')
  const path = join(folder, 'a.yaml')
  const make = (text: string): void => {
    fs.mkdirSync(folder, { recursive: true })
    fs.writeFileSync(path, text)
  }
  make('one')
  using reader = new Reader(path)
  fs.rmSync(folder, { recursive: true })
  make('two')
  await reader.saw('two')
  fs.renameSync(outer.file('outer'), outer.file('away'))
  make('three')
  await reader.saw('three')
  fs.writeFileSync(path, 'four')
  await reader.saw('four')
  fs.rmSync(outer.file('outer'), { recursive: true })
  fs.renameSync(outer.file('away'), outer.file('outer'))
  await reader.saw('two')
  assert.deepEqual(reader.errors, [])
})

test('a file that is written all the time is told of all the same', async () => {
  using folder = new TemporaryFolder()
  const path = folder.file('a.yaml')
  fs.writeFileSync(path, 'one')
  using reader = new Reader(path)
  const writing = setInterval(() => fs.writeFileSync(path, 'again and again'), 10)
  try {
    await reader.saw('again and again')
  } finally {
    clearInterval(writing)
  }
})

test('a ConfigMap of Kubernetes, whose folder is exchanged behind a link, more than once', async () => {
  using folder = new TemporaryFolder()
  const version = (number: number, text: string): string => {
    const name = `..2026_01_0${number}`
    fs.mkdirSync(folder.file(name))
    fs.writeFileSync(join(folder.file(name), 'a.yaml'), text)
    return name
  }
  fs.symlinkSync(version(1, 'one'), folder.file('..data'))
  fs.symlinkSync('..data/a.yaml', folder.file('a.yaml'))
  using reader = new Reader(folder.file('a.yaml'))
  for (const [number, text] of [
    [2, 'two'],
    [3, 'three'],
  ] as const) {
    fs.symlinkSync(version(number, text), folder.file('..data_tmp'))
    fs.renameSync(folder.file('..data_tmp'), folder.file('..data'))
    fs.rmSync(folder.file(`..2026_01_0${number - 1}`), { recursive: true })
    await reader.saw(text)
  }
})

test('a link whose target is changed elsewhere, and then is another one', async () => {
  using folder = new TemporaryFolder()
  using other = new TemporaryFolder()
  fs.writeFileSync(other.file('real.yaml'), 'one')
  fs.symlinkSync(other.file('real.yaml'), folder.file('a.yaml'))
  using reader = new Reader(folder.file('a.yaml'))
  fs.writeFileSync(other.file('real.yaml'), 'two')
  await reader.saw('two')
  fs.writeFileSync(other.file('next.yaml'), 'three')
  fs.symlinkSync(other.file('next.yaml'), folder.file('new'))
  fs.renameSync(folder.file('new'), folder.file('a.yaml'))
  await reader.saw('three')
  fs.writeFileSync(other.file('next.yaml'), 'four')
  await reader.saw('four')
})

test('links in a circle are no trap', () => {
  using folder = new TemporaryFolder()
  fs.symlinkSync('b', folder.file('a'))
  fs.symlinkSync('a', folder.file('b'))
  using circle = new Reader(folder.file('a'))
  assert.deepEqual(circle.errors, [])
})
