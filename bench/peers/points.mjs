// What the Node peers share: the covered fetch, and the schema with resolvers for the two fields that are asked for.

import { GraphQLScalarType } from 'graphql'
import { MongoClient } from 'mongodb'

const CONNECTIONS = Number(process.env.CONNECTIONS ?? 8)
const client = new MongoClient(process.env.MONGODB_URL, { maxPoolSize: CONNECTIONS, minPoolSize: CONNECTIONS })
const points = client.db('datacosmos').collection('points')
await client.connect()

export function fetchPoints(series, start, end) {
  const where = { series, status: 'accepted', time: { $gte: start, $lte: end } }
  const options = { projection: { _id: 0, time: 1, value: 1 }, sort: { time: 1, _id: 1 }, batchSize: 200_000 }
  return points.find(where, options).toArray()
}

export function formatTime(time) {
  const text = time.toISOString()
  return text.endsWith('.000Z') ? `${text.slice(0, 19)}Z` : `${text.slice(0, -1)}000Z`
}

export const typeDefs = `
  scalar DateTime
  type Point { time: DateTime! value: Float! }
  type Query { points(series: String = "datacosmos", start: DateTime, end: DateTime): [Point!]! }
`

export const resolvers = {
  DateTime: new GraphQLScalarType({
    name: 'DateTime',
    serialize: formatTime,
    parseValue: (text) => new Date(text),
    parseLiteral: (node) => new Date(node.value)
  }),
  Query: { points: (_, { series, start, end }) => fetchPoints(series, start, end) }
}
