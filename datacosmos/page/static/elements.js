// Makes elements of the page. Texts become text, never markup.

/**
 * An element with attributes, listeners (`onclick`) and children; null and false children are left out.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, unknown>} [properties]
 * @param {...(Node | string | number | null | undefined | false)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) set(element, name, value);
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false).map(node));
  return element;
}

/**
 * @param {HTMLElement} element
 * @param {string} name
 * @param {unknown} value
 */
function set(element, name, value) {
  if (typeof value === "function") element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
  else if (value === true) element.setAttribute(name, "");
  else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
}

/** @param {unknown} child */
function node(child) {
  return child instanceof Node ? child : String(child);
}

/**
 * Puts children in the place of an element's, only where they differ: what is focused or selected stays.
 * @param {Element} parent
 * @param {...Node} children
 */
export function replace(parent, ...children) {
  const same = parent.childNodes.length === children.length;
  if (same && children.every((child, index) => child.isEqualNode(parent.childNodes[index] ?? null))) return;
  parent.replaceChildren(...children);
}

/**
 * The element of that id or selector, which is there.
 * @template {Element} [E=HTMLElement]
 * @param {ParentNode} parent
 * @param {string} selector
 * @returns {E}
 */
export function find(parent, selector) {
  const found = parent.querySelector(selector);
  if (found === null) throw new Error(`nothing here is ${selector}`);
  return /** @type {E} */ (found);
}

/** A command that the reader can type, in a text. @param {string} text */
export function command(text) {
  return h("code", {}, text);
}

/**
 * Tells what colours of the style sheet are at an element without text, as a canvas can't draw with `light-dark()`.
 * @param {HTMLElement} element
 * @returns {(name: string) => string} by the name of a custom property
 */
export function coloursAt(element) {
  const style = getComputedStyle(element);
  return (name) => {
    element.style.color = `var(${name})`;
    return style.color;
  };
}
