// Notices the terms of policies in what a browser shows it. The box judges again: here, only nothing may be missed.

import { cut } from "./addresses.js";
import { withoutTags } from "./markup.js";
import { Needles } from "./needles.js";

export { words } from "./folding.js";

export const name = "keyword";

export function prepare(policy) {
  const needles = new Needles(policy);
  return (text, surface) => {
    const { plain, addresses } = cut(text, surface === "address");
    return [...needles.find(withoutTags(plain), surface, Infinity), ...addresses.flatMap((address) => inAddress(needles, address, surface))];
  };
}

function inAddress(needles, { text, starts, ends, query }, surface) {
  return needles
    .find(text, surface, query)
    .map(({ id, start, end }) => ({ id, start: starts[start], end: ends[end - 1] }));
}
