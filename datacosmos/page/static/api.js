// Asks the API, with the token that is kept.

import { token } from "./token.js";

/** What the API answers instead of data; `code` is that of the GraphQL error, or UNREACHABLE. */
export class AskError extends Error {
  /**
   * @param {string} message
   * @param {string} code
   */
  constructor(message, code) {
    super(message);
    this.code = code;
  }
}

/** Seconds by which the service's clock is ahead of ours, as far as it matters. */
let ahead = 0;

/** The time by the service's clock, in seconds since the epoch. */
export function now() {
  return Date.now() / 1000 + ahead;
}

/** @param {Response} response */
function compareClocks(response) {
  const theirs = Date.parse(response.headers.get("Date") ?? "") / 1000;
  const difference = theirs - Date.now() / 1000;
  if (Math.abs(difference) > 3) ahead = difference;
}

/**
 * The answer to a request; an error says that there is none.
 * @param {string} path
 * @param {RequestInit} [options]
 */
export async function request(path, options = {}) {
  const headers = { ...token.header, ...options.headers };
  try {
    const response = await fetch(path, { ...options, headers, cache: "no-store", credentials: "omit" });
    compareClocks(response);
    return response;
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new AskError("the service does not answer", "UNREACHABLE");
  }
}

/**
 * The data of a GraphQL query. Raises AskError where the answer has an error.
 * @template T
 * @param {string} query
 * @param {Record<string, unknown>} variables
 * @param {AbortSignal} [signal]
 * @returns {Promise<T>}
 */
export async function ask(query, variables = {}, signal) {
  const body = JSON.stringify({ query, variables });
  const headers = { "Content-Type": "application/json" };
  const response = await request("/graphql", { method: "POST", headers, body, signal: signal ?? null });
  const answer = await response.json().catch(() => ({}));
  const fault = answer.errors?.find(isSerious);
  if (fault) throw failure(fault.message, fault.extensions?.code ?? "INTERNAL");
  if (!answer.data) throw new AskError(answer.detail ?? `the service answers ${response.status}`, "INTERNAL");
  return answer.data;
}

/** A count that takes too long is null, and everything else is there. @param {{ path?: (string | number)[] }} error */
function isSerious({ path }) {
  return path?.at(-1) !== "totalCount";
}

/**
 * The answer of a REST route as it is. Raises AskError, with the status as its code.
 * @param {string} path
 * @param {{ accept?: string, signal?: AbortSignal }} [options]
 */
export async function get(path, { accept = "application/json", signal } = {}) {
  const response = await request(path, { headers: { Accept: accept }, signal: signal ?? null });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw failure(
    problem.detail ?? `the service answers ${response.status}`,
    response.status === 401 ? "UNAUTHENTICATED" : String(response.status),
  );
}

/**
 * @param {string} message
 * @param {string} code
 */
function failure(message, code) {
  if (code === "UNAUTHENTICATED") token.doubt(message);
  return new AskError(message, code);
}

/** Where the playground shows a query, ready to run. @param {string} query @param {Record<string, unknown>} variables */
export function playground(query, variables) {
  const given = Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== null && value !== ""));
  return `/graphql?${new URLSearchParams({ query, variables: JSON.stringify(given, null, 2) })}`;
}
