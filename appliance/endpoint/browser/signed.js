// Whether a policy is the box's, whole, for this browser and newer than the one before; docs/endpoint-protocol.md.

import { fromBase64url, join, utf8 } from "./bytes.js";

const SIGNED = "appliance policy v1";
const ALGORITHM = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
const ZERO = new Uint8Array(1);
const HALVES = /[\ud800-\udfff]/;

// The version of a policy: what its content is hashed to. ../../endpoints/policies.py does the same.
export async function versionOf({ plugins, ...top }) {
  const hashes = {};
  for (const [name, answer] of Object.entries(plugins)) {
    hashes[name] = {};
    for (const [key, value] of Object.entries(answer)) hashes[name][key] = await sha256(spelled(value));
  }
  return sha256(spelled({ ...top, plugins: hashes }));
}

// Whether the box has signed this version for the browser with this key (base64url). `boxKey`: base64 of its SPKI, as it
// stands in the manifest of the extension, whose id is made of it.
export async function isSigned({ version, serial, signature }, browser, boxKey) {
  const spki = Uint8Array.from(atob(boxKey), (letter) => letter.charCodeAt(0));
  const key = await crypto.subtle.importKey("spki", spki, ALGORITHM, false, ["verify"]);
  const said = join(utf8(SIGNED), ZERO, utf8(browser), ZERO, utf8(String(serial)), ZERO, utf8(version));
  return crypto.subtle.verify(ALGORITHM, key, fromBase64url(signature), said);
}

// What a merge patch (RFC 7396) makes of something, which stays as it is.
export function patched(before, change) {
  if (!isObject(change)) return change;
  const found = isObject(before) ? { ...before } : {};
  for (const [key, value] of Object.entries(change)) {
    if (value === null) delete found[key];
    else found[key] = patched(found[key], value);
  }
  return found;
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

// JSON in the one spelling that is hashed: keys in order, no blanks, ASCII.
export function spelled(value) {
  return inOrder(value).replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function inOrder(value) {
  if (Array.isArray(value)) return `[${value.map(inOrder).join(",")}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const keys = Object.keys(value);
  keys.sort(keys.some((key) => HALVES.test(key)) ? byCharacters : undefined);
  return `{${keys.map((key) => `${JSON.stringify(key)}:${inOrder(value[key])}`).join(",")}}`;
}

// By whole characters, as Python sorts; sort() alone goes by halves of some of them.
function byCharacters(one, other) {
  const [mine, theirs] = [Array.from(one), Array.from(other)];
  for (let at = 0; at < Math.min(mine.length, theirs.length); at++) {
    if (mine[at] !== theirs[at]) return mine[at].codePointAt(0) - theirs[at].codePointAt(0);
  }
  return mine.length - theirs.length;
}

async function sha256(text) {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", utf8(text)));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
