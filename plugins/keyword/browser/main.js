// Notices the terms of policies in what a browser shows it. The box judges again: here, only nothing may be missed.

import { cut } from "./addresses.js";
import { withoutTags } from "./markup.js";
import { Needles } from "./needles.js";
import { turned } from "./turned.js";

export { words } from "./folding.js";

export const name = "keyword";

export function prepare(policy) {
  const needles = new Needles(policy);
  return (text, surface) => {
    const { plain, addresses } = cut(text, surface === "address");
    return [
      ...needles.find(withoutTags(plain), surface, Infinity),
      ...addresses.flatMap((address) => inAddress(needles, address, surface)),
      ...inTurned(needles, turned(text), surface),
    ];
  };
}

function inAddress(needles, { text, starts, ends, query }, surface) {
  return needles
    .find(text, surface, query)
    .map(({ id, start, end }) => ({ id, start: starts[start], end: ends[end - 1] }));
}

function inTurned(needles, lines, surface) {
  if (!lines) return [];
  const { text, starts, ends } = lines;
  return needles
    .find(text, surface, Infinity)
    .map(({ id, start, end }) => ({ id, start: Math.min(starts[start], starts[end - 1]), end: Math.max(ends[start], ends[end - 1]) }));
}
