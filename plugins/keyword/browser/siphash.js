// SipHash-2-4 (Aumasson and Bernstein 2012) in halves of 32 bits.

const encoder = new TextEncoder();

// A function from a text to its hash under a key (128 bits, base64url): 11 characters of base64url.
export function hasher(key) {
  const bytes = Uint8Array.from(atob(key.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
  const words = new DataView(bytes.buffer);
  const [k0, k1, k2, k3] = [0, 4, 8, 12].map((at) => words.getUint32(at, true) | 0);
  return (text) => base64url(siphash(k0, k1, k2, k3, encoder.encode(text)));
}

// The state: four numbers of 64 bits, the low half of each first.
function siphash(k0, k1, k2, k3, message) {
  const v = new Int32Array([
    k0 ^ 0x70736575, k1 ^ 0x736f6d65, k2 ^ 0x6e646f6d, k3 ^ 0x646f7261,
    k0 ^ 0x6e657261, k1 ^ 0x6c796765, k2 ^ 0x79746573, k3 ^ 0x74656462,
  ]);
  const blocks = new DataView(new ArrayBuffer((message.length + 8) & ~7));
  new Uint8Array(blocks.buffer).set(message);
  blocks.setUint8(blocks.byteLength - 1, message.length);
  for (let at = 0; at < blocks.byteLength; at += 8) {
    const [low, high] = [blocks.getInt32(at, true), blocks.getInt32(at + 4, true)];
    v[6] ^= low;
    v[7] ^= high;
    round(v);
    round(v);
    v[0] ^= low;
    v[1] ^= high;
  }
  v[4] ^= 0xff;
  for (let rounds = 0; rounds < 4; rounds++) round(v);
  return [v[0] ^ v[2] ^ v[4] ^ v[6], v[1] ^ v[3] ^ v[5] ^ v[7]];
}

function round(v) {
  add(v, 0, 2);
  turn(v, 2, 13);
  mix(v, 2, 0);
  swap(v, 0);
  add(v, 4, 6);
  turn(v, 6, 16);
  mix(v, 6, 4);
  add(v, 0, 6);
  turn(v, 6, 21);
  mix(v, 6, 0);
  add(v, 4, 2);
  turn(v, 2, 17);
  mix(v, 2, 4);
  swap(v, 4);
}

function add(v, to, other) {
  const low = (v[to] >>> 0) + (v[other] >>> 0);
  v[to + 1] += v[other + 1] + (low > 0xffffffff ? 1 : 0);
  v[to] = low;
}

function mix(v, to, other) {
  v[to] ^= v[other];
  v[to + 1] ^= v[other + 1];
}

function turn(v, at, bits) {
  const [low, high] = [v[at], v[at + 1]];
  v[at] = (low << bits) | (high >>> (32 - bits));
  v[at + 1] = (high << bits) | (low >>> (32 - bits));
}

function swap(v, at) {
  [v[at], v[at + 1]] = [v[at + 1], v[at]];
}

function base64url([low, high]) {
  const bytes = new Uint8Array(new Int32Array([low, high]).buffer); // devices are little-endian, as the hash is written
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replace("=", "");
}
