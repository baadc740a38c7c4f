// GraphiQL with a first query that is ready to run; a ?query= in the address takes its place.

const FIRST_QUERY = `# The points of the last hour, page by page:
# press the button, or Ctrl-Enter.
#
# Administrators also see what was discarded:
# put the token that is printed by
# \`datacosmos token --role admin\`
# into Headers below, and ask for
# { discards { reason reasons raw receivedAt } }

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
const variables = given ? asked.get("variables") : JSON.stringify({ start: anHourAgo }, null, 2);
const headers = JSON.stringify({ Authorization: "Bearer <token>" }, null, 2);
const fetcher = GraphiQL.createFetcher({ url: window.location.pathname });

function Playground() {
  const [query, setQuery] = React.useState(given ?? FIRST_QUERY);
  const explorer = GraphiQLPluginExplorer.useExplorerPlugin({ query, onEdit: setQuery });
  return React.createElement(GraphiQL, {
    fetcher,
    query,
    onEditQuery: setQuery,
    variables,
    headers,
    plugins: [explorer],
    defaultEditorToolsVisibility: "headers",
    isHeadersEditorEnabled: true,
    shouldPersistHeaders: false,
  });
}

ReactDOM.render(React.createElement(Playground), document.getElementById("playground"));
