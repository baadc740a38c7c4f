// GraphiQL with a first query that is ready to run; one edited here before, or a ?query= in the address, takes its place.

const FIRST_QUERY = `# The points of the last hour, page by page:
# press the button, or Ctrl-Enter.
#
# Administrators also see what was discarded:
# put the token that is printed by
# \`datacosmos token --role admin\`
# into Headers below, and ask for
# { discards { reason faults receivedAt rawPreview } }
# or, of a simulated sensor,
# { sensorReadings(sensorId: "greenhouse") { time temperatureC } }
#
# Points as they are stored; with $after, none is missed where the connection breaks off:
# subscription ($after: String) { changes(after: $after) { cursor events { kind point { time value } } } }

query LastHour($start: DateTime) {
  pointsConnection(start: $start, first: 20) {
    edges {
      node {
        time
        value
        tags
        receivedAt
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
`;

const anHourAgo = new Date(Date.now() - 3600 * 1000).toISOString();
const asked = new URLSearchParams(window.location.search);
const given = asked.get("query");
const kept = given ? null : recall("query");
const firstVariables = JSON.stringify({ start: anHourAgo }, null, 2);
const variables = given ? asked.get("variables") : (recall("variables") ?? firstVariables);
const headers = JSON.stringify({ Authorization: "Bearer <token>" }, null, 2);
const { origin, pathname } = window.location;
const ask = GraphiQL.createFetcher({ url: pathname, subscriptionUrl: origin.replace("http", "ws") + pathname });

// A lost connection is made again by GraphiQL itself, which sends the same object again: from there on goes what comes.
async function* resuming(params, results) {
  for await (const result of results) {
    const [cursor] = Object.values(result.data ?? {}).flatMap((told) => told?.cursor ?? []);
    if (cursor) params.variables = { ...params.variables, after: cursor };
    yield result;
  }
}

function fetcher(params, options) {
  const results = ask(params, options);
  const resumes = /\$after\s*:/.test(params.query) && Symbol.asyncIterator in results;
  return resumes ? resuming(params, results) : results;
}

// Where a browser keeps nothing, a reload begins anew.
function recall(name) {
  try {
    return localStorage.getItem(`datacosmos:${name}`);
  } catch {
    return null;
  }
}

// What is as it was at first is not kept, so that a reload shows it as it is then.
function keep(name, text, first) {
  try {
    if (text === first) localStorage.removeItem(`datacosmos:${name}`);
    else localStorage.setItem(`datacosmos:${name}`, text);
  } catch {}
}

function Playground() {
  const [query, setQuery] = React.useState(given ?? kept ?? FIRST_QUERY);
  const [edited, setVariables] = React.useState(variables);
  React.useEffect(() => {
    if (given) return;
    keep("query", query, FIRST_QUERY);
    keep("variables", edited ?? "", firstVariables);
  }, [query, edited]);
  const explorer = GraphiQLPluginExplorer.useExplorerPlugin({ query, onEdit: setQuery });
  const properties = {
    fetcher,
    query,
    onEditQuery: setQuery,
    variables,
    onEditVariables: setVariables,
    headers,
    plugins: [explorer],
    defaultEditorToolsVisibility: "headers",
    isHeadersEditorEnabled: true,
    shouldPersistHeaders: false,
  };
  return React.createElement(GraphiQL, properties, React.createElement(GraphiQL.Logo, null, "DataCosmos"));
}

ReactDOM.render(React.createElement(Playground), document.getElementById("playground"));
