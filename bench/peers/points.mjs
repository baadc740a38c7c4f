// What the Node peers share: the fetch of the fields that are asked for, and the schema with its resolvers.

import { GraphQLScalarType, Kind } from 'graphql'
import { MongoClient } from 'mongodb'

const CONNECTIONS = Number(process.env.CONNECTIONS ?? 8)
const client = new MongoClient(process.env.MONGODB_URL, { maxPoolSize: CONNECTIONS, minPoolSize: CONNECTIONS })
const points = client.db('datacosmos').collection('points')
await client.connect()

const COVERED = { _id: 0, time: 1, value: 1 }

export function fetchPoints(series, start, end, projection = COVERED, limit = 0) {
  const where = { series, status: 'accepted', time: { $gte: start, $lte: end } }
  return points.find(where, { projection, sort: { time: 1, _id: 1 }, batchSize: 200_000, limit }).toArray()
}

export function formatTime(time) {
  const text = time.toISOString()
  return text.endsWith('.000Z') ? `${text.slice(0, 19)}Z` : `${text.slice(0, -1)}000Z`
}

const STORED = { id: '_id', receivedAt: 'received_at' }

function projectionOf(node, ...path) {
  const selected = (node.selectionSet?.selections ?? []).filter((each) => each.kind === Kind.FIELD)
  if (path.length > 0) {
    const inner = selected.find((each) => each.name.value === path[0])
    return inner ? projectionOf(inner, ...path.slice(1)) : {}
  }
  return Object.fromEntries(selected.map((each) => [STORED[each.name.value] ?? each.name.value, 1]))
}

function cursorOf(point) {
  const inside = Buffer.from(`points|${point.time.getTime()}|${point._id}`)
  return inside.toString('base64').replaceAll('+', '-').replaceAll('/', '_')
}

async function connect(_, { series, start, end, first }, __, info) {
  const projection = { ...projectionOf(info.fieldNodes[0], 'edges', 'node'), _id: 1, time: 1 }
  const found = await fetchPoints(series, start, end, projection, first + 1)
  const edges = found.slice(0, first).map((node) => ({ node, cursor: cursorOf(node) }))
  const pageInfo = { hasNextPage: found.length > first, endCursor: edges.at(-1)?.cursor }
  return { edges, pageInfo }
}

export const typeDefs = `
  scalar DateTime
  type Point { id: ID! series: String! time: DateTime! value: Float! tags: [String!]! receivedAt: DateTime! }
  type Edge { cursor: String! node: Point! }
  type PageInfo { hasNextPage: Boolean! endCursor: String }
  type Connection { edges: [Edge!]! pageInfo: PageInfo! }
  type Query {
    points(series: String = "datacosmos", start: DateTime, end: DateTime): [Point!]!
    pointsConnection(series: String = "datacosmos", start: DateTime, end: DateTime, first: Int = 1000): Connection!
  }
`

export const resolvers = {
  DateTime: new GraphQLScalarType({
    name: 'DateTime',
    serialize: formatTime,
    parseValue: (text) => new Date(text),
    parseLiteral: (node) => new Date(node.value)
  }),
  Point: { id: (point) => point._id, receivedAt: (point) => point.received_at },
  Query: {
    points: (_, { series, start, end }, __, info) =>
      fetchPoints(series, start, end, { _id: 0, ...projectionOf(info.fieldNodes[0]) }),
    pointsConnection: connect
  }
}
