// SipHash-2-4 (Aumasson and Bernstein 2012), in halves of 32 bits: it is taken of hundreds of runs of words in a moment.

const LONGEST = 1024; // bytes of a text; of a longer one the rest is passed over, and no phrase is so long
const encoder = new TextEncoder();
const message = new Uint8Array(LONGEST + 8);
const blocks = new DataView(message.buffer);

// A function from a text to its hash under a key (128 bits, base64url): the first 53 bits as a number.
export function hasher(key) {
  const words = new DataView(bytesOf(key).buffer);
  const [k0, k1, k2, k3] = [0, 4, 8, 12].map((at) => words.getInt32(at, true));
  return (text) => {
    const { written } = encoder.encodeInto(text, message.subarray(0, LONGEST));
    return siphash(k0, k1, k2, k3, written);
  };
}

// The number of a hash that the box has written down (64 bits, base64url).
export function numberOf(hash) {
  const words = new DataView(bytesOf(hash).buffer);
  return number(words.getInt32(0, true), words.getInt32(4, true));
}

function number(low, high) {
  return (high >>> 11) * 0x100000000 + (low >>> 0);
}

function bytesOf(base64url) {
  return Uint8Array.from(atob(base64url.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
}

// Of the bytes in `message`. The state is four numbers, each in two halves: l for the low one, h for the high one.
function siphash(k0, k1, k2, k3, length) {
  let [al, ah] = [k0 ^ 0x70736575, k1 ^ 0x736f6d65];
  let [bl, bh] = [k2 ^ 0x6e646f6d, k3 ^ 0x646f7261];
  let [cl, ch] = [k0 ^ 0x6e657261, k1 ^ 0x6c796765];
  let [dl, dh] = [k2 ^ 0x79746573, k3 ^ 0x74656462];
  const end = (length + 8) & ~7;
  message.fill(0, length, end);
  message[end - 1] = length;
  for (let at = 0; at <= end; at += 8) {
    const isLast = at === end;
    const [low, high] = isLast ? [0, 0] : [blocks.getInt32(at, true), blocks.getInt32(at + 4, true)];
    if (isLast) cl ^= 0xff;
    dl ^= low;
    dh ^= high;
    for (let rounds = isLast ? 4 : 2; rounds > 0; rounds--) {
      let [l, h] = [0, 0];
      // a += b; b = b <<< 13 ^ a; a <<<= 32
      l = (al >>> 0) + (bl >>> 0);
      ah = (ah + bh + (l > 0xffffffff ? 1 : 0)) | 0;
      al = l | 0;
      l = (bl << 13) | (bh >>> 19);
      h = (bh << 13) | (bl >>> 19);
      bl = l ^ al;
      bh = h ^ ah;
      l = al;
      al = ah;
      ah = l;
      // c += d; d = d <<< 16 ^ c
      l = (cl >>> 0) + (dl >>> 0);
      ch = (ch + dh + (l > 0xffffffff ? 1 : 0)) | 0;
      cl = l | 0;
      l = (dl << 16) | (dh >>> 16);
      h = (dh << 16) | (dl >>> 16);
      dl = l ^ cl;
      dh = h ^ ch;
      // a += d; d = d <<< 21 ^ a
      l = (al >>> 0) + (dl >>> 0);
      ah = (ah + dh + (l > 0xffffffff ? 1 : 0)) | 0;
      al = l | 0;
      l = (dl << 21) | (dh >>> 11);
      h = (dh << 21) | (dl >>> 11);
      dl = l ^ al;
      dh = h ^ ah;
      // c += b; b = b <<< 17 ^ c; c <<<= 32
      l = (cl >>> 0) + (bl >>> 0);
      ch = (ch + bh + (l > 0xffffffff ? 1 : 0)) | 0;
      cl = l | 0;
      l = (bl << 17) | (bh >>> 15);
      h = (bh << 17) | (bl >>> 15);
      bl = l ^ cl;
      bh = h ^ ch;
      l = cl;
      cl = ch;
      ch = l;
    }
    al ^= low;
    ah ^= high;
  }
  return number(al ^ bl ^ cl ^ dl, ah ^ bh ^ ch ^ dh);
}
