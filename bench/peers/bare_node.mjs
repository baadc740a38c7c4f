import { createServer } from 'node:http'
import { json } from 'node:stream/consumers'

import { fetchPoints, formatTime } from './points.mjs'

const server = createServer(async (request, response) => {
  const { variables } = await json(request)
  const found = await fetchPoints('datacosmos', new Date(variables.start), new Date(variables.end))
  const points = found.map(({ time, value }) => ({ time: formatTime(time), value }))
  const body = Buffer.from(JSON.stringify({ data: { points } }))
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length })
  response.end(body)
})
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`))
