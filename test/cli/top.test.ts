import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { patiently, until } from '../support/patience.ts'
import { isMissing } from '../support/program.ts'
import { get, mainPath, RunningProxy, runToEnd } from '../support/running-command.ts'
import { TemporaryFolder } from '../support/temporary-folder.ts'

test('top --once prints what a running proxy counts, plainly, by TCP and by a socket file', async () => {
  using folder = new TemporaryFolder()
  const path = `unix:${folder.file('admin.sock')}`
  await using proxy = await RunningProxy.start(['--workers', '1', '--admin', path])
  await proxy.child.said(/admin listener on/)
  await get(proxy.port, '/')
  let text = ''
  do ({ stdout: text } = await runToEnd(['top', '--once', '--admin', path]))
  while (!/^STATUS +2xx 1$/m.test(text))
  assert.match(text, /^eproxy [0-9.]+ {2}ready/)
  assert.ok(!text.includes('\u001b'))
})

test('top says what is wrong when there is nothing to look at', async () => {
  using folder = new TemporaryFolder()
  const { code, stderr } = await runToEnd(['top', '--once', '--admin', `unix:${folder.file('nothing.sock')}`])
  assert.equal(code, 1)
  assert.match(stderr, /no answer from the admin listener at unix:.*nothing listens there; was the proxy started with --admin\?/)
})

test('top shows the token to an address that other machines can reach, and says what is wrong without it', async () => {
  using folder = new TemporaryFolder()
  const [file, other] = [folder.file('token'), folder.file('other')]
  writeFileSync(file, 'a-token-of-some-length\n')
  writeFileSync(other, 'another-token-of-some-length\n')
  await using proxy = await RunningProxy.start(['--workers', '1', '--admin', '0.0.0.0:0', '--admin-public', '--admin-token-file', file])
  const port = / on 0\.0\.0\.0:([0-9]+)"/.exec(await proxy.child.said(/admin listener on/))?.[1] ?? ''
  const top = ['top', '--once', '--admin', `127.0.0.1:${port}`]
  assert.match((await runToEnd([...top, '--admin-token-file', file])).stdout, /^eproxy [0-9.]+ {2}ready/)
  assert.match((await runToEnd(top)).stderr, /it wants its token: --admin-token-file FILE/)
  assert.match((await runToEnd([...top, '--admin-token-file', other])).stderr, /it has another token/)
})

test('top takes what it finds elsewhere for what it is', async () => {
  await using proxy = await RunningProxy.start(['--workers', '1'])
  const { code, stderr } = await runToEnd(['top', '--once', '--admin', `127.0.0.1:${proxy.port}`])
  assert.equal(code, 1)
  assert.match(stderr, /is no admin listener of eproxy/)
})

describe('on a terminal', { skip: isMissing('script') }, () => {
  test('top has a screen of its own and gives it back when q is pressed', async () => {
    using folder = new TemporaryFolder()
    const path = `unix:${folder.file('admin.sock')}`
    await using proxy = await RunningProxy.start(['--workers', '1', '--admin', path])
    await proxy.child.said(/admin listener on/)
    const command = `stty rows 30 cols 100; exec ${JSON.stringify(process.execPath)} ${JSON.stringify(mainPath)} top --admin ${path}`
    // Its input stays open to the end: once that is over, script looks no more at what is said.
    const child = spawn('script', ['-qec', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'ignore'] })
    const closed = once(child, 'close') as Promise<[code: number | null]>
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (more: string) => (text += more))
    try {
      await until(
        () => text.includes('q ends'),
        () => `its keys in ${text}`,
      )
      child.stdin.write('q')
      const [code] = await patiently(closed, () => `its end, after ${text}`)
      assert.equal(code, 0, text)
    } finally {
      child.kill('SIGKILL')
    }
    assert.ok(text.includes('\u001b[?1049h') && text.includes('q ends, w shows the next worker'), text)
    assert.ok(text.lastIndexOf('\u001b[?1049l') > text.lastIndexOf('q ends'), text)
  })
})
