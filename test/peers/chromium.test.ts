/** A browser as the client: Debian's chromium, headless, loads a page with thirty subresources. */
import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { describe, test } from 'node:test'
import { NodeOrigin } from '../support/node-origin.ts'
import { isMissing, runCommand } from '../support/program.ts'
import { ProxyFront } from '../support/proxy-front.ts'
import { TemporaryFolder } from '../support/temporary-folder.ts'

const countOfEach = 10

describe('chromium', { skip: isMissing('chromium') }, () => {
  test('a page with ten scripts, ten styles and ten images is loaded whole', async () => {
    using profile = new TemporaryFolder()
    await using origin = await NodeOrigin.start(answer)
    await using front = await ProxyFront.start({ upstreams: [origin.address] })
    const { code, stdout, stderr } = await runCommand('chromium', [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      `--user-data-dir=${profile.path}`,
      '--dump-dom',
      `${front.url}/`,
    ])
    assert.equal(code, 0, stderr)
    assert.match(stdout.toString(), /<p id="result">10 scripts, 10 styles, 10 images<\/p>/)
    const asked = front.exchanges.map(({ target }) => target).filter((target) => target !== '/favicon.ico')
    assert.equal(new Set(asked).size, 1 + 3 * countOfEach)
    assert.deepEqual(
      front.exchanges.filter(({ status, error }) => status !== 200 || error !== ''),
      [],
    )
    assert.ok(origin.connections <= 6, `${origin.connections} connections to the origin for ${asked.length} requests`)
  })
})

const indexes = Array.from({ length: countOfEach }, (_, index) => index)
const page = `<!doctype html><title>page</title>
${indexes.map((index) => `<link rel="stylesheet" href="/style/${index}">`).join('\n')}
<script>let scripts = 0</script>
${indexes.map((index) => `<script src="/script/${index}"></script>`).join('\n')}
${indexes.map((index) => `<img src="/image/${index}">`).join('\n')}
<p id="result"></p>
<script>addEventListener('load', () => {
  const seen = getComputedStyle(document.documentElement)
  const styles = [${indexes.join(', ')}].filter((index) => seen.getPropertyValue('--style' + index).trim() === 'there').length
  const images = [...document.images].filter((image) => image.naturalWidth === 7).length
  document.getElementById('result').textContent = scripts + ' scripts, ' + styles + ' styles, ' + images + ' images'
})</script>
`

function answer(request: IncomingMessage, response: ServerResponse): void {
  const [, kind, index] = (request.url ?? '').split('/')
  // Every second answer is in chunks.
  const reply = (type: string, body: string): void => {
    const framing = Number(index) % 2 === 0 ? { 'content-length': Buffer.byteLength(body) } : {}
    response.writeHead(200, { 'content-type': type, 'cache-control': 'no-store', ...framing }).write(body)
    response.end()
  }
  switch (kind) {
    case 'script':
      return reply('text/javascript', `scripts++ // ${'x'.repeat(20_000)}\n`)
    case 'style':
      return reply('text/css', `:root { --style${index}: there }\n`)
    case 'image':
      return reply('image/svg+xml', '<svg xmlns="http://www.w3.org/2000/svg" width="7" height="7"/>')
    default:
      return reply('text/html', page)
  }
}
