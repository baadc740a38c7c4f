// Follows the changes of a series by server-sent events, and goes on behind the last cursor whenever they break off.

import { AskError, request } from "./api.js";
import { token } from "./token.js";

/** @typedef {{ kind: string, point: (import("./curve.js").Point & { series: string }) | null }} Change */
/** @typedef {{ cursor: string, events: Change[] }} Changes */
/** @typedef {{ series: string, onChanges: (events: Change[]) => void, onState: (fault: string) => void, onFresh: () => void }} Follower
 * `onState` gets "" while the feed is there, else why not; `onFresh` is called where it begins without a cursor, so
 * that what was stored before must be asked for. */

const SILENCE = 40_000; // ms without a heartbeat, which comes every 15 s
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 8_000;

/** Ends by `stop`. */
export class Feed {
  #cursor = "";
  #pause = FIRST_PAUSE;
  #ended = new AbortController();

  /** @param {Follower} follower */
  constructor(follower) {
    this.follower = follower;
    this.#run();
  }

  stop() {
    this.#ended.abort();
  }

  async #run() {
    while (!this.#ended.signal.aborted) {
      try {
        await this.#read();
      } catch (error) {
        if (this.#ended.signal.aborted) return;
        this.follower.onState(error instanceof AskError ? error.message : "it broke off");
      }
      await wait(this.#pause * (0.75 + Math.random() / 2), this.#ended.signal);
      this.#pause = Math.min(LONGEST_PAUSE, this.#pause * 2);
    }
  }

  /** Until the stream ends. */
  async #read() {
    const silent = new AbortController();
    const signal = AbortSignal.any([this.#ended.signal, silent.signal]);
    const asked = new URLSearchParams({ series: this.follower.series, ...(this.#cursor && { after: this.#cursor }) });
    const response = await request(`/changes?${asked}`, { headers: { Accept: "text/event-stream" }, signal });
    if (!response.ok || !response.body) return await this.#refused(response);
    this.follower.onState("");
    if (!this.#cursor) this.follower.onFresh();
    let timer = setTimeout(() => silent.abort(), SILENCE);
    try {
      for await (const { event, data, id } of messages(response.body)) {
        clearTimeout(timer);
        timer = setTimeout(() => silent.abort(), SILENCE);
        if (event === "error") return this.#failed(JSON.parse(data));
        this.#pause = FIRST_PAUSE;
        if (data) this.follower.onChanges(JSON.parse(data).events ?? []);
        if (id) this.#cursor = id;
      }
      throw new AskError("the feed ended", "UNREACHABLE");
    } finally {
      clearTimeout(timer);
    }
  }

  /** An error within the stream. @param {{ message: string, extensions?: { code?: string, cursor?: string | null } }} error */
  #failed({ message, extensions = {} }) {
    if (extensions.cursor) this.#cursor = extensions.cursor;
    if (extensions.code === "UNAUTHENTICATED") token.doubt(message);
    this.#forgetCursor(extensions.code ?? "");
    throw new AskError(message, extensions.code ?? "INTERNAL");
  }

  /** An answer that is no stream. @param {Response} response */
  async #refused(response) {
    const answer = await response.json().catch(() => ({}));
    const code = answer.errors?.[0]?.extensions?.code ?? answer.extensions?.code ?? answer.code ?? "";
    if (response.status === 401) token.doubt(answer.detail ?? "the token is refused");
    if ([401, 403].includes(response.status)) this.stop(); // until there is another token
    this.#forgetCursor(response.status === 410 ? "CURSOR_EXPIRED" : response.status === 400 ? "INVALID_CURSOR" : code);
    throw new AskError(answer.detail ?? `the feed answers ${response.status}`, code);
  }

  /** @param {string} code */
  #forgetCursor(code) {
    if (!this.#cursor || !["CURSOR_EXPIRED", "INVALID_CURSOR"].includes(code)) return;
    this.#cursor = "";
  }
}

/**
 * The messages of a stream of server-sent events.
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<{ event: string, data: string, id: string }>}
 */
async function* messages(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    while (true) {
      const { done, value } = await reader.read();
      if (done) return;
      const parts = (rest + decoder.decode(value, { stream: true })).replace(/\r\n?/g, "\n").split("\n\n");
      rest = parts.pop() ?? "";
      for (const part of parts) yield message(part);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** @param {string} text */
function message(text) {
  const read = { event: "message", data: "", id: "" };
  for (const line of text.split("\n")) {
    const [, field, value] = /^(event|data|id):? ?(.*)$/.exec(line) ?? [];
    if (field === "data") read.data += (read.data && "\n") + value;
    else if (field === "event" || field === "id") read[field] = value ?? "";
  }
  return read;
}

/** @param {number} milliseconds @param {AbortSignal} signal ends the wait */
function wait(milliseconds, signal) {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", resolve, { once: true });
  });
}
