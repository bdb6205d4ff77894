// Opens what appliance/sealing.py seals, with WebCrypto alone. docs/envelope.md has the format; RFC 9180 has HPKE.
// All functions take and return Uint8Array and throw when something does not open.
"use strict";

const BUCKETS = [256, 1024, 4096, 16384, 65536];
const LARGEST = 64 * 2 ** 20;
const LABELS = {
  itemKey: ascii("appliance envelope v1 item key\0"),
  sealedKey: ascii("appliance sealed key v1\0"),
  wrapped: ascii("appliance wrapped key v1\0"),
  recoveryKey: ascii("appliance recovery key v1 wrapping key"),
};

function ascii(text) {
  return new TextEncoder().encode(text);
}

function join(...pieces) {
  const whole = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

function refuse(why) {
  throw new Error(`This cannot be opened: ${why}.`);
}

// HPKE, base mode: DHKEM(X25519, HKDF-SHA256) 0x0020, HKDF-SHA256 0x0001, AES-256-GCM 0x0002; one message

const KEM_SUITE = join(ascii("KEM"), [0x00, 0x20]);
const HPKE_SUITE = join(ascii("HPKE"), [0x00, 0x20, 0x00, 0x01, 0x00, 0x02]);
const NOTHING = new Uint8Array();

async function hmac(key, ...message) {
  const padded = key.length ? key : new Uint8Array(32); // the same for HMAC, and WebCrypto takes no empty key
  const imported = await crypto.subtle.importKey("raw", padded, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, join(...message)));
}

function labeledExtract(suite, salt, label, secret) {
  return hmac(salt, ascii("HPKE-v1"), suite, ascii(label), secret);
}

async function labeledExpand(suite, key, label, info, length) {
  // up to 32 bytes: one block of HKDF-Expand
  const block = await hmac(key, [0, length], ascii("HPKE-v1"), suite, ascii(label), info, [1]);
  return block.slice(0, length);
}

async function x25519(privateKey) {
  const pkcs8 = join([0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6e, 4, 0x22, 4, 0x20], privateKey);
  const secret = await crypto.subtle.importKey("pkcs8", pkcs8, { name: "X25519" }, true, ["deriveBits"]);
  const { x } = await crypto.subtle.exportKey("jwk", secret);
  const letters = atob(x.replaceAll("-", "+").replaceAll("_", "/"));
  return { secret, publicKey: Uint8Array.from(letters, (letter) => letter.charCodeAt(0)) };
}

async function hpkeOpen(sealed, privateKey, info, additional = NOTHING) {
  const ephemeral = sealed.slice(0, 32);
  const own = await x25519(privateKey);
  const theirs = await crypto.subtle.importKey("raw", ephemeral, { name: "X25519" }, true, []);
  const agreed = await crypto.subtle.deriveBits({ name: "X25519", public: theirs }, own.secret, 256);
  const prk = await labeledExtract(KEM_SUITE, NOTHING, "eae_prk", new Uint8Array(agreed));
  const shared = await labeledExpand(KEM_SUITE, prk, "shared_secret", join(ephemeral, own.publicKey), 32);

  const pskIdHash = await labeledExtract(HPKE_SUITE, NOTHING, "psk_id_hash", NOTHING);
  const infoHash = await labeledExtract(HPKE_SUITE, NOTHING, "info_hash", info);
  const context = join([0], pskIdHash, infoHash);
  const secret = await labeledExtract(HPKE_SUITE, shared, "secret", NOTHING);
  const key = await labeledExpand(HPKE_SUITE, secret, "key", context, 32);
  const nonce = await labeledExpand(HPKE_SUITE, secret, "base_nonce", context, 12);
  return aesOpen(key, nonce, sealed.slice(32), additional);
}

async function aesOpen(key, nonce, ciphertext, additional) {
  const imported = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["decrypt"]);
  const how = { name: "AES-GCM", iv: nonce, additionalData: additional };
  return new Uint8Array(await crypto.subtle.decrypt(how, imported, ciphertext));
}

// Envelopes

function bucket(size) {
  const last = BUCKETS.at(-1);
  return BUCKETS.find((one) => size <= one) ?? Math.ceil(size / last) * last;
}

function uuid(bytes) {
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

function parse(envelope) {
  let at = 0;
  const take = (size) => {
    if (at + size > envelope.length) refuse("it ends too early");
    at += size;
    return envelope.slice(at - size, at);
  };
  if (take(1)[0] !== 1 || take(1)[0] !== 1) refuse("it has another version or suite");
  const itemId = uuid(take(16));
  const kind = new TextDecoder("latin1").decode(take(take(1)[0]));
  if (!/^[a-z0-9][a-z0-9 ._-]{0,31}$/.test(kind)) refuse("it does not say what it holds");
  const header = envelope.slice(0, at);
  const count = take(1)[0];
  if (count < 1 || count > 16) refuse("the number of its recipients is wrong");
  const places = [];
  for (let number = 0; number < count; number++) {
    const place = take(20);
    const epoch = new DataView(place.buffer).getUint32(16);
    if (epoch === 0) refuse("it names a key that cannot be");
    places.push({ name: `${uuid(place.slice(0, 16))}/${epoch}`, info: join(LABELS.itemKey, header, place), sealed: take(80) });
  }
  if (new Set(places.map((place) => place.name)).size < count) refuse("it names the same recipient twice");
  const bound = envelope.slice(0, at);
  const nonce = take(12);
  const ciphertext = envelope.slice(at);
  const size = ciphertext.length - 16;
  if (size <= 0 || size > LARGEST || bucket(size) !== size) refuse("its length is not one that sealing makes");
  return { itemId, kind, places, bound, nonce, ciphertext };
}

// privateKeys: an object from "<vault id>/<epoch>" to the private key of that vault and epoch
async function openEnvelope(envelope, privateKeys) {
  const { itemId, kind, places, bound, nonce, ciphertext } = parse(envelope);
  const place = places.find((one) => one.name in privateKeys);
  if (!place) refuse("you are not among those who can open it");
  const itemKey = await hpkeOpen(place.sealed, privateKeys[place.name], place.info);
  const padded = await aesOpen(itemKey, nonce, ciphertext, bound);
  const end = 4 + new DataView(padded.buffer).getUint32(0);
  if (bucket(end) !== padded.length || padded.slice(end).some((byte) => byte !== 0)) {
    refuse("its padding is not as it should be");
  }
  return { itemId, kind, recipients: places.map((one) => one.name), content: padded.slice(4, end) };
}

// Keys

function openKey(sealed, privateKey, context) {
  return hpkeOpen(sealed, privateKey, join(LABELS.sealedKey, context));
}

function unwrap(wrapped, key, context) {
  return aesOpen(key, wrapped.slice(0, 12), wrapped.slice(12), join(LABELS.wrapped, context));
}

async function keyFromRecovery(secret) {
  const imported = await crypto.subtle.importKey("raw", secret, "HKDF", false, ["deriveBits"]);
  const how = { name: "HKDF", hash: "SHA-256", salt: NOTHING, info: LABELS.recoveryKey };
  return new Uint8Array(await crypto.subtle.deriveBits(how, imported, 256));
}
