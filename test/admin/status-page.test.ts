/** The status page in a browser: it shows what happens, while it happens, as text and never as markup. */
import assert from 'node:assert/strict'
import { after, describe, test, type TestContext } from 'node:test'
import { AdminListener } from '../../lib/admin/admin-listener.ts'
import { observeGroup, observeProxy, type AdminSubject } from '../../lib/admin/subject.ts'
import { Browser } from '../support/browser.ts'
import { GroupUnderTest } from '../support/group-under-test.ts'
import { NodeOrigin } from '../support/node-origin.ts'
import { ProxyUnderTest } from '../support/proxy-under-test.ts'
import { get } from '../support/raw-client.ts'
import { groupOf, routeTo, serviceOf } from '../support/service.ts'

const browser = await Browser.tryToStart()

describe('the status page', { skip: typeof browser === 'string' ? browser : false }, () => {
  if (typeof browser === 'string') return
  after(() => browser[Symbol.asyncDispose]())

  test('shows rates, servers, endings and rules, and is not fooled by what peers send', async (t) => {
    await using origin = await NodeOrigin.start((_request, response) => void response.end('here'))
    const front = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
    const address = await startAdmin(t, observeProxy(front.proxy))
    await browser.show(`http://${address}/`)
    await browser.until(`document.getElementById('standing').textContent === 'ready'`)
    const client = await front.client()
    for (let index = 0; index < 5; index++) await client.exchange(get('/'))
    const hostile = await front.client()
    hostile.send('GET /<img/src=x/onerror=document.title=1> HTTP/1.1\r\nHost: a\r\n\r\n')
    assert.equal((await hostile.response()).status, 400)
    const rude = await front.client()
    // Only when its head is right is a target known.
    rude.send(`POST /&lt;b&gt;${encodeURIComponent('<script>')} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`)
    assert.equal((await rude.response()).status, 400)

    await browser.until(`document.getElementById('terminations').textContent.includes('PR')`)
    await browser.until(`document.getElementById('event-rows').textContent.includes('&lt;b&gt;')`)
    await browser.until(`document.getElementById('routes').rows[0].cells[1].textContent === '5'`)
    assert.equal(await browser.evaluate(`document.getElementById('servers').rows[0].cells[1].textContent`), origin.address)
    assert.equal(await browser.evaluate(`document.getElementById('servers').rows[0].cells[2].textContent`), 'up')
    assert.match(String(await browser.evaluate(`document.getElementById('violations').textContent`)), /H1-/)
    assert.match(String(await browser.evaluate(`document.getElementById('line').getAttribute('d')`)), /^M[0-9]/)
    assert.equal(await browser.evaluate(`document.querySelectorAll('img, b:not(.tile b), iframe').length`), 0)
    assert.deepEqual(browser.complaints, [])
  })

  test('shows a name of a group as text, whatever is in it', async (t) => {
    await using origin = await NodeOrigin.start((_request, response) => void response.end('here'))
    const name = '<img src=x onerror=alert(1)>'
    const front = await ProxyUnderTest.start(t, { service: serviceOf({ [name]: groupOf([origin.address]) }, routeTo(name, { name })) })
    const address = await startAdmin(t, observeProxy(front.proxy))
    await browser.show(`http://${address}/`, { dark: true })
    const client = await front.client()
    await client.exchange(get('/'))
    await browser.until(`document.getElementById('servers').rows[0]?.cells[0].textContent === ${JSON.stringify(name)}`)
    await browser.until(`document.getElementById('routes').textContent.includes(${JSON.stringify(name)})`)
    assert.equal(await browser.evaluate(`document.querySelectorAll('main img').length`), 0)
    assert.deepEqual(browser.complaints, [])
  })

  test('shows the sum of workers, and each', async (t) => {
    const { group, addresses } = await GroupUnderTest.start(t, { workers: 2 })
    const address = await startAdmin(t, observeGroup(group))
    await browser.show(`http://${address}/`, { height: 1_500 })
    await browser.until(`document.getElementById('workers').rows.length === 2`)
    await browser.until(`document.getElementById('process').options.length === 3`)
    for (let index = 0; index < 6; index++) assert.equal((await fetch(`http://${addresses[0]}/`)).status, 200)
    await browser.until(`document.getElementById('rate-more').textContent === '6 so far'`)
    const choose = (number: number): string => `(() => {
      const select = document.getElementById('process')
      select.value = '${number}'
      select.dispatchEvent(new Event('change'))
      return Number.parseInt(document.getElementById('rate-more').textContent, 10)
    })()`
    const counts = [await browser.evaluate(choose(1)), await browser.evaluate(choose(2))].map(Number)
    assert.equal(
      counts.reduce((sum, count) => sum + count),
      6,
    )
    assert.deepEqual(browser.complaints, [])
  })

  test('keeps its layout while figures change, also on a narrow screen', async (t) => {
    const front = await ProxyUnderTest.start(t, {})
    const address = await startAdmin(t, observeProxy(front.proxy))
    for (const width of [1_280, 400]) {
      await browser.show(`http://${address}/`, { width })
      await browser.until(`document.getElementById('standing').textContent === 'ready'`)
      const measure = `JSON.stringify([...document.querySelectorAll('.tile')].map((tile) => { const { x, y, width, height } = tile.getBoundingClientRect(); return [x, y, width, height] }))`
      const before = await browser.evaluate(measure)
      const client = await front.client()
      for (let index = 0; index < 50; index++) await client.exchange(get('/'))
      const count = front.proxy.stats.exchangesTotal
      await browser.until(`document.getElementById('rate-more').textContent === '${count} so far'`)
      assert.equal(await browser.evaluate(measure), before)
      assert.equal(await browser.evaluate(`document.documentElement.scrollWidth <= ${width}`), true)
    }
  })
})

async function startAdmin(t: TestContext, subject: AdminSubject): Promise<string> {
  const admin = new AdminListener({ address: '127.0.0.1:0', token: '', public: false, subject, version: '1.2.3' })
  t.after(() => admin.close())
  return (await admin.listen()).address
}
