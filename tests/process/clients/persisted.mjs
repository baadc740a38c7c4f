// Asks one query as clients with automatic persisted queries do: node persisted.mjs ADDRESS apollo|urql GET|POST
import { createHash } from "node:crypto";

import { ApolloClient, HttpLink, InMemoryCache, gql } from "@apollo/client/core";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { createClient, fetchExchange } from "@urql/core";
import { persistedExchange } from "@urql/exchange-persisted";

const [address, client, method] = process.argv.slice(2);
const url = `${address}/graphql`;
const useGET = method === "GET";
const query = gql`
  query Values($series: String!) {
    points(series: $series) {
      value
    }
  }
`;
const variables = { series: "datacosmos" };
const sha256 = (text) => createHash("sha256").update(text).digest("hex");

// The method of each request, and whether it had the query's text.
const sent = [];
async function recordingFetch(resource, options) {
  const parameters = new URL(resource).searchParams;
  const hasText = Boolean(parameters.get("query") ?? (options.body && JSON.parse(options.body).query));
  sent.push([options.method ?? "GET", hasText]);
  return fetch(resource, options);
}

async function askApollo() {
  const link = new PersistedQueryLink({ sha256, useGETForHashedQueries: useGET }).concat(
    new HttpLink({ uri: url, fetch: recordingFetch, useGETForQueries: useGET }),
  );
  const apollo = new ApolloClient({ link, cache: new InMemoryCache() });
  return (await apollo.query({ query, variables, fetchPolicy: "network-only" })).data;
}

async function askUrql() {
  const persisted = persistedExchange({ preferGetForPersistedQueries: useGET, generateHash: async (text) => sha256(text) });
  const urql = createClient({
    url,
    exchanges: [persisted, fetchExchange],
    fetch: recordingFetch,
    preferGetMethod: useGET ? "force" : false,
  });
  const { data, error } = await urql.query(query, variables, { requestPolicy: "network-only" }).toPromise();
  if (error) throw error;
  return data;
}

const data = await { apollo: askApollo, urql: askUrql }[client]();
console.log(JSON.stringify({ data, sent }));
