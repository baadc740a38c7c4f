import Fastify from 'fastify'
import mercurius from 'mercurius'

import { resolvers, typeDefs } from './points.mjs'

const app = Fastify()
app.register(mercurius, { schema: typeDefs, resolvers, jit: 1 })
const address = await app.listen({ host: '127.0.0.1', port: 0 })
console.log(`${address}/graphql`)
