/**
 * eproxy of two commits in one run: each is built in a worktree of its own with the packages that are installed here, and takes part as any
 * other proxy does. The worktrees are in the directory of the run and are taken out of the repository again.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { BenchResult } from './result.ts'
import { eproxyPeer, type Peer } from './peers.ts'
import { renderSpread } from './report.ts'
import { isFinished } from './run.ts'
import { geometricMean, ratioOf, type FigureName, type Spread } from './summary.ts'
import { renderTable } from './table.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const workingTree = '.'

export class ComparedBuilds implements Disposable {
  readonly peers: readonly Peer[]
  readonly #worktrees: string[] = []

  /** Throws when a commit does not exist or cannot be built; what was made is gone then. */
  constructor(commits: readonly [string, string], directory: string) {
    try {
      this.peers = commits.map((commit, index) => this.#build(commit, index === 0 ? 'before' : 'after', directory))
    } catch (error) {
      this[Symbol.dispose]()
      throw error
    }
  }

  [Symbol.dispose](): void {
    for (const path of this.#worktrees) git('worktree', 'remove', '--force', path)
    this.#worktrees.length = 0
  }

  #build(commit: string, name: string, directory: string): Peer {
    if (commit === workingTree) return eproxyPeer(name, join(root, 'build/lib/cli/main.js'), 'what is built here')
    const path = join(directory, name)
    const id = git('rev-parse', '--short', '--verify', `${commit}^{commit}`)
    git('worktree', 'add', '--detach', path, id)
    this.#worktrees.push(path)
    symlinkSync(join(root, 'node_modules'), join(path, 'node_modules'))
    // Only what runs: its tests may need packages that are not here.
    writeFileSync(join(path, 'tsconfig.bench.json'), '{ "extends": "./tsconfig.json", "include": ["lib", "native-free-parser"] }')
    const run = (command: string, ...args: readonly string[]): void => {
      try {
        execFileSync(command, args, { cwd: path, encoding: 'utf8', stdio: 'pipe' })
      } catch (error) {
        throw new Error(`${commit} cannot be built: ${String((error as { stdout?: string }).stdout).trim() || String(error)}`, {
          cause: error,
        })
      }
    }
    if (existsSync(join(path, 'native-free-parser/wasm/extract.mjs'))) run(process.execPath, 'native-free-parser/wasm/extract.mjs')
    run(join(root, 'node_modules/.bin/tsc'), '-p', 'tsconfig.bench.json')
    return eproxyPeer(name, join(path, 'build/lib/cli/main.js'), `${id} ${git('log', '-1', '--format=%s', id)}`)
  }
}

// oxfmt-ignore
const columnTable = [
  { label: 'CPU', figure: 'cpuMicrosPerRequest' },
  { label: 'user', figure: 'userMicrosPerRequest' },
  { label: 'system', figure: 'systemMicrosPerRequest' },
  { label: 'requests/s', figure: 'requestsPerSecond' },
  { label: 'p99', figure: 'p99Micros' },
  { label: 'RSS', figure: 'residentBytes' },
] as const satisfies readonly { readonly label: string; readonly figure: FigureName }[]

/** After by before, round by round. A change of CPU counts when all rounds say so; with few rounds that is easily said. */
export function renderComparison(result: BenchResult): string {
  const ratios: number[] = []
  const rows = result.workloads.flatMap(({ name, runs }) =>
    [false, true].flatMap((accessLog) => {
      const [before, after] = ['before', 'after'].map((side) =>
        runs.find((run) => run.accessLog === accessLog && isFinished(run) && run.name.startsWith(side)),
      )
      if (before === undefined || after === undefined) return []
      const spreads = columnTable.map(({ figure }) => ratioOf(after.rounds, before.rounds, figure))
      ratios.push(spreads[0]!.median)
      return [[`${name}${accessLog ? ', access log' : ''}`, ...spreads.map((spread) => renderSpread(spread, 1, 3)), verdictOf(spreads[0]!)]]
    }),
  )
  if (rows.length === 0) return 'nothing to compare'
  const table = renderTable([['after / before', ...columnTable.map(({ label }) => label), ''], ...rows])
  return `${table}\ngeometric mean of CPU: ${geometricMean(ratios).toFixed(3)}`
}

function verdictOf({ min, max }: Spread): string {
  if (max < 1) return 'cheaper in every round'
  return min > 1 ? 'dearer in every round' : 'no clear difference'
}

function git(...args: readonly string[]): string {
  try {
    return execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: 'pipe' }).trim()
  } catch (error) {
    throw new Error(`git ${args.join(' ')}: ${String((error as { stderr?: string }).stderr).trim()}`, { cause: error })
  }
}
