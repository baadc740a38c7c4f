// Saves discards as CSV, just those that are filtered.

import { AskError, get } from "./api.js";
import { h } from "./elements.js";
import { formatCount } from "./formats.js";

const MOST = 200 * 2 ** 20; // bytes that a tab holds at once

/**
 * @param {Record<string, string | null>} filter
 * @param {(text: string) => void} tell how far it is
 */
export async function exportDiscards(filter, tell) {
  const given = Object.entries(filter).filter(([, value]) => value !== null);
  const response = await get(`/discards?${new URLSearchParams(/** @type {[string, string][]} */ (given))}`, {
    accept: "text/csv",
  });
  const pieces = [];
  let length = 0;
  for await (const piece of /** @type {any} */ (response.body)) {
    pieces.push(piece);
    length += piece.length;
    tell(`${formatCount(Math.ceil(length / 1024))} KiB…`);
    if (length > MOST)
      throw new AskError(
        "the export is larger than 200 MiB; `datacosmos export discards` writes any size",
        "TOO_LARGE",
      );
  }
  const address = URL.createObjectURL(new Blob(pieces, { type: "text/csv" }));
  h("a", { href: address, download: "discards.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
  tell(`Saved ${formatCount(Math.ceil(length / 1024))} KiB as discards.csv`);
}
