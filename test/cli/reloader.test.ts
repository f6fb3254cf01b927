/** One reload after another: what one of them comes to is nothing to the next. */
import assert from 'node:assert/strict'
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { get, RunningCommand } from '../support/running-command.ts'
import { TemporaryFolder } from '../support/temporary-folder.ts'

for (const workers of [1, 2]) {
  test(`a good file takes effect after a bad one, ${workers === 1 ? 'in one process' : 'with workers'}`, async () => {
    using folder = new TemporaryFolder()
    const path = folder.file('eproxy.yaml')
    const write = (answer: string): void => {
      writeFileSync(`${path}.new`, `workers: ${workers}\nlisteners: ['127.0.0.1:0']\nroutes: [{ name: all, answer: ${answer} }]\n`)
      renameSync(`${path}.new`, path)
    }
    write('one')
    const child = new RunningCommand(['--config', path, '--log-format', 'json'])
    try {
      const listening = await child.said(/listening on 127\.0\.0\.1:/)
      const port = Number(/:(\d+)$/.exec((JSON.parse(listening) as { address: string }).address)?.[1])
      for (let round = 1; round <= 3; round += 1) {
        write('[not a text]')
        await child.saidTimes(round, /the configuration was not reloaded and stays as it was/)
        write(`good-${round}`)
        await child.saidTimes(round, /configuration reloaded/)
        assert.equal((await get(port, '/')).body.trim(), `good-${round}`)
      }
    } finally {
      child.process.kill('SIGKILL')
      await child.exitCode
    }
  })
}

test('SIGHUP reads the pages of the file anew; one that is gone changes nothing', async () => {
  using folder = new TemporaryFolder()
  const path = folder.file('eproxy.yaml')
  const page = folder.file('404.html')
  writeFileSync(page, 'one')
  writeFileSync(path, `workers: 1\nlisteners: ['127.0.0.1:0']\nroutes: [{ answer: 404, errorPages: { 4xx: 404.html } }]\n`)
  const child = new RunningCommand(['--config', path, '--log-format', 'json'])
  try {
    const listening = await child.said(/listening on 127\.0\.0\.1:/)
    const port = Number(/:(\d+)$/.exec((JSON.parse(listening) as { address: string }).address)?.[1])
    assert.equal((await get(port, '/')).body, 'one')
    writeFileSync(page, 'two')
    child.process.kill('SIGHUP')
    await child.said(/configuration reloaded/)
    assert.equal((await get(port, '/')).body, 'two')
    rmSync(page)
    child.process.kill('SIGHUP')
    await child.said(/stays as it was: .*404\.html: there is no such file/)
    assert.equal((await get(port, '/')).body, 'two')
  } finally {
    child.process.kill('SIGKILL')
    await child.exitCode
  }
})
