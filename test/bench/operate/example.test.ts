/** The example as its command runs it: both sites answer, the old one leads to the new one, and what its file limits is limited. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { ask, type Reply } from '../../../bench/operate/admin-client.ts'
import { Stage } from '../../../bench/operate/stage.ts'
import { freePort } from '../../../bench/e2e/start.ts'
import { ProcessSet } from '../../../bench/process-set.ts'
import { until } from '../../support/patience.ts'
import { TemporaryFolder } from '../../support/temporary-folder.ts'

test('the example runs: two sites, three servers, one limit of logins', async () => {
  using folder = new TemporaryFolder()
  await using processes = new ProcessSet()
  const ports = await Promise.all(Array.from({ length: 6 }, () => freePort()))
  const [proxy, redis, admin, ...servers] = ports.map((port) => `127.0.0.1:${port}`)
  const accessLog = folder.file('access.log')
  const places = { proxy: proxy!, redis: redis!, admin: admin!, servers, accessLog }
  const stage = new Stage(processes, { places, directory: folder.path, token: 'a-token-of-the-test' })
  await stage.start()
  const get = (host: string, path: string): Promise<Reply> => ask(places.proxy, 'GET', path, { host })

  const shop = JSON.parse((await get('shop.example', '/api/items?token=pssst')).text) as { site: string; url: string }
  assert.deepEqual([shop.site, shop.url], ['shop', '/api/items?token=pssst'])
  assert.equal((JSON.parse((await get('www.blog.example', '/posts')).text) as { site: string }).site, 'blog')
  assert.equal((await get('www.shop.example', '/a?b=c')).status, 308)
  assert.equal((await get('nobody.example', '/')).status, 404)

  // Ten at once are two for each of five that are allowed, whoever of the workers counts them, if each does for itself.
  const statuses = await Promise.all(Array.from({ length: 20 }, async () => (await get('shop.example', '/login')).status))
  assert.ok(statuses.includes(200) && statuses.includes(429), statuses.join(' '))

  await stage.killServer(0)
  for (let count = 0; count < 12; count += 1) assert.equal((await get('shop.example', '/api/items')).status, 200)

  const logged = (): string => readFileSync(accessLog, 'latin1')
  await until(
    () => logged().includes('"target":"/api/items?token=***"') && logged().includes('"route":"old-shop"'),
    () => `lines of both in ${logged()}`,
  )
  assert.ok(!logged().includes('pssst'))
})
