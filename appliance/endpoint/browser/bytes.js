// Bytes and texts.

export function utf8(text) {
  return new TextEncoder().encode(text);
}

// Not longer than this. Half a character at an edge, which no JSON may hold, becomes a whole one.
export function cut(text, longest) {
  return text.slice(0, longest).toWellFormed();
}

export function join(...pieces) {
  const whole = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

export function bigEndian(number) {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, number);
  return bytes;
}

export function toBase64url(bytes) {
  const letters = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(letters).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

export function fromBase64url(text) {
  const letters = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
}

export function uuidBytes(uuid) {
  return Uint8Array.from(uuid.replaceAll("-", "").match(/../g), (pair) => Number.parseInt(pair, 16));
}
