// Types for a query of ours, generated and then checked by TypeScript: node codegen.mjs SCHEMA FOLDER
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

import { codegen } from "@graphql-codegen/core";
import * as typescript from "@graphql-codegen/typescript";
import * as operations from "@graphql-codegen/typescript-operations";
import { buildSchema, parse } from "graphql";

const [schemaFile, folder] = process.argv.slice(2);
const schema = buildSchema(readFileSync(schemaFile, "utf8"));
const query = parse(`
  query Page($series: String!, $start: DateTime, $first: Int!) {
    pointsConnection(series: $series, start: $start, first: $first) {
      edges { node { time value tags } }
      pageInfo { hasNextPage endCursor }
    }
    discards(reason: TOO_OLD) { id reasons duplicateOf }
    ingestion { __typename }
  }
`);
const use = `
import type { PageQuery, PageQueryVariables } from "./query";
import type { Point } from "./schema";

export const variables: PageQueryVariables = { series: "datacosmos", start: "2024-03-28T16:55:34Z", first: 10 };
// @ts-expect-error: a number
export const wrong: PageQueryVariables = { series: "datacosmos", first: "10" };
export const values = (page: PageQuery): number[] => page.pointsConnection.edges.map(({ node }) => node.value);
export const value = (point: Point): number => point.value;
// @ts-expect-error: no text
export const texts = (page: PageQuery): string[] => page.pointsConnection.edges.map(({ node }) => node.value);
`;

const scalars = { DateTime: "string", BigInt: "number" };
for (const [name, plugin] of Object.entries({ schema: typescript, query: operations })) {
  const types = await codegen({
    schema: parse(readFileSync(schemaFile, "utf8")),
    schemaAst: schema,
    documents: [{ location: "page.graphql", document: query }],
    filename: `${name}.ts`,
    config: { scalars },
    plugins: [{ [name]: {} }],
    pluginMap: { [name]: plugin },
  });
  writeFileSync(join(folder, `${name}.ts`), types);
}
writeFileSync(join(folder, "use.ts"), use);
const compiler = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc");
const checked = ["--noEmit", "--strict", "--module", "esnext", "--moduleResolution", "bundler", "--target", "es2022"];
try {
  execFileSync(process.execPath, [compiler, ...checked, join(folder, "use.ts")], { encoding: "utf8" });
} catch (error) {
  console.error(error.stdout);
  process.exit(1);
}
