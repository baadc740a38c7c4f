// What is missing, and the command or the step that gives it.

import { AskError } from "./api.js";
import { command, h } from "./elements.js";
import { visible } from "./formats.js";
import { token } from "./token.js";

/** What to do about an error. @param {unknown} error @returns {HTMLElement} */
export function adviseOn(error) {
  const [code, message] =
    error instanceof AskError ? [error.code, visible(error.message)] : ["INTERNAL", "this page has a fault; reload it"];
  switch (code) {
    case "UNAUTHENTICATED":
      return token.isGiven ? h("p", {}, `The token is refused: ${message}.`) : needsToken("user");
    case "FORBIDDEN":
    case "403":
      return needsToken("admin");
    case "UNREACHABLE":
      return h(
        "p",
        {},
        "The service does not answer. This page tries again until it does. ",
        command("datacosmos serve"),
        " starts it.",
      );
    case "UNAVAILABLE":
    case "503":
      return h("p", {}, `The service can't answer now: ${message}. This page tries again.`);
    case "TOO_MANY_POINTS":
      return h("p", {}, `That is too much for one answer: ${message}. Choose a shorter range.`);
    default:
      return h("p", {}, `That failed: ${message}.`);
  }
}

/** @param {"user" | "admin"} role */
export function needsToken(role) {
  const whose = role === "admin" ? "Administrators see this" : "This needs a token";
  const open = h(
    "button",
    {
      type: "button",
      class: "link",
      onclick: () => document.querySelector("dc-token")?.dispatchEvent(new Event("wanted")),
    },
    "Token",
  );
  return h(
    "p",
    {},
    `${whose}. `,
    command(`datacosmos token --role ${role}`),
    " prints one: paste it under ",
    open,
    ".",
  );
}

/** For a service that has no points yet, or none of one series. @param {string} [series] */
export function noPoints(series) {
  return h(
    "p",
    {},
    `There are no points${series ? ` of ${visible(series)}` : ""} yet. `,
    command("make run"),
    " brings simulated ones; ",
    command("DATACOSMOS_DATA_SERVER_URL"),
    " names a data server of yours.",
  );
}
