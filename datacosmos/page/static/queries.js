// What is asked of GraphQL. Each of these also runs in the playground as it stands.

export const CURVE = `query Curve($series: String!, $start: DateTime!, $end: DateTime!, $width: Int!) {
  sampled(series: $series, start: $start, end: $end, width: $width) {
    points { id time value }
    sourceCount
    exact
  }
  series(name: $series) { source last { time value } }
}`;

export const STORED_CURVE = `query StoredCurve($id: ID!, $start: DateTime!, $end: DateTime!, $width: Int!) {
  storedSeries(id: $id) {
    name
    unit
    end
    sampled(start: $start, end: $end, width: $width) {
      points { time value }
      sourceCount
      exact
    }
    metrics(start: $start, end: $end) { count min max mean std median p05 p95 rms }
  }
}`;

export const BUCKETS = `query Buckets($series: String!, $start: DateTime!, $end: DateTime!, $interval: Duration!) {
  buckets(series: $series, start: $start, end: $end, interval: $interval) { start end count min avg max }
}`;

export const STORED_BUCKETS = `query StoredBuckets($id: ID!, $start: DateTime!, $end: DateTime!, $interval: Duration!) {
  storedSeries(id: $id) {
    buckets(start: $start, end: $end, interval: $interval) { start end count min avg max }
  }
}`;

export const EXTENT = `query Extent($series: String!) {
  series(name: $series) { first last { time } }
}`;

export const STORED_EXTENT = `query StoredExtent($id: ID!) {
  storedSeries(id: $id) { start end }
}`;

export const SERIES = `query SeriesList($search: String, $start: DateTime!, $end: DateTime!) {
  seriesConnection(search: $search, first: 50) {
    edges {
      node {
        name
        source
        last { time value }
        buckets(start: $start, end: $end, interval: "PT2M") { avg }
      }
    }
    pageInfo { hasNextPage }
  }
}`;

export const STORED_SERIES = `query StoredSeriesList($search: String) {
  storedSeriesConnection(search: $search, last: 50) {
    edges {
      node {
        id
        name
        unit
        end
        sampled(width: 15) { points { time value } }
      }
    }
    pageInfo { hasPreviousPage }
  }
}`;

export const DISCARDS = `query Discards($reason: Reason, $source: String, $start: DateTime, $end: DateTime, $before: String) {
  discardsConnection(reason: $reason, source: $source, start: $start, end: $end, last: 20, before: $before) {
    totalCount
    edges {
      node { id receivedAt source series time value reason reasons faults rawPreview(length: 80) }
    }
    pageInfo { hasPreviousPage startCursor }
  }
}`;

export const DISCARD_BUCKETS = `query DiscardBuckets($source: String, $start: DateTime!, $end: DateTime!, $interval: Duration!) {
  discardBuckets(source: $source, start: $start, end: $end, interval: $interval) {
    start
    end
    count
    byReason { reason count }
  }
}`;

export const DISCARD = `query OneDiscard($id: ID!) {
  discard(id: $id) {
    id receivedAt source series time value tags reason reasons faults duplicateOf rawBase64
  }
}`;

export const WINNER = `query Winner($series: String!, $time: DateTime!) {
  points(series: $series, start: $time, end: $time) { id time value tags receivedAt }
}`;

export const LEDGER = `query Ledger {
  ingestion {
    source messages received accepted discarded inFlight deadLettered oldestInFlight
    discardedByReason { reason count }
  }
}`;
