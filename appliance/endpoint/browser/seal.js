// Seals what was noticed, so that this browser itself cannot read it again: docs/envelope.md has the format, RFC 9180
// has HPKE. appliance/sealing.py opens it.

import { bigEndian, join, utf8, uuidBytes } from "./bytes.js";

const VERSION = 1;
const SUITE = 1;
const KIND = utf8("observation");
const BUCKETS = [256, 1024, 4096, 16384, 65536];
const ITEM_KEY = utf8("appliance envelope v1 item key\0");
const NOTHING = new Uint8Array();

// recipient: {vault, epoch, key}, the public key as bytes
export async function seal(content, itemId, recipient) {
  const header = join([VERSION, SUITE], uuidBytes(itemId), [KIND.length], KIND);
  const place = join(uuidBytes(recipient.vault), bigEndian(recipient.epoch));
  const itemKey = crypto.getRandomValues(new Uint8Array(32));
  const sealedKey = await hpkeSeal(itemKey, recipient.key, join(ITEM_KEY, header, place));
  const bound = join(header, [1], place, sealedKey);
  const nonce = crypto.getRandomValues(new Uint8Array(12));
  return join(bound, nonce, await aesSeal(itemKey, nonce, pad(content), bound));
}

function pad(content) {
  const size = 4 + content.length;
  const last = BUCKETS.at(-1);
  const padded = new Uint8Array(BUCKETS.find((bucket) => size <= bucket) ?? Math.ceil(size / last) * last);
  padded.set(bigEndian(content.length));
  padded.set(content, 4);
  return padded;
}

// HPKE, base mode: DHKEM(X25519, HKDF-SHA256) 0x0020, HKDF-SHA256 0x0001, AES-256-GCM 0x0002; one message

const KEM_SUITE = join(utf8("KEM"), [0x00, 0x20]);
const HPKE_SUITE = join(utf8("HPKE"), [0x00, 0x20, 0x00, 0x01, 0x00, 0x02]);

async function hpkeSeal(message, publicKey, info) {
  const pair = await crypto.subtle.generateKey({ name: "X25519" }, false, ["deriveBits"]);
  const ephemeral = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  const theirs = await crypto.subtle.importKey("raw", publicKey, { name: "X25519" }, false, []);
  const agreed = await crypto.subtle.deriveBits({ name: "X25519", public: theirs }, pair.privateKey, 256);
  const prk = await labeledExtract(KEM_SUITE, NOTHING, "eae_prk", new Uint8Array(agreed));
  const shared = await labeledExpand(KEM_SUITE, prk, "shared_secret", join(ephemeral, publicKey), 32);

  const pskIdHash = await labeledExtract(HPKE_SUITE, NOTHING, "psk_id_hash", NOTHING);
  const infoHash = await labeledExtract(HPKE_SUITE, NOTHING, "info_hash", info);
  const context = join([0], pskIdHash, infoHash);
  const secret = await labeledExtract(HPKE_SUITE, shared, "secret", NOTHING);
  const key = await labeledExpand(HPKE_SUITE, secret, "key", context, 32);
  const nonce = await labeledExpand(HPKE_SUITE, secret, "base_nonce", context, 12);
  return join(ephemeral, await aesSeal(key, nonce, message, NOTHING));
}

async function hmac(key, ...message) {
  const padded = key.length ? key : new Uint8Array(32); // the same for HMAC, and WebCrypto takes no empty key
  const imported = await crypto.subtle.importKey("raw", padded, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, join(...message)));
}

function labeledExtract(suite, salt, label, secret) {
  return hmac(salt, utf8("HPKE-v1"), suite, utf8(label), secret);
}

async function labeledExpand(suite, key, label, info, length) {
  // up to 32 bytes: one block of HKDF-Expand
  const block = await hmac(key, [0, length], utf8("HPKE-v1"), suite, utf8(label), info, [1]);
  return block.slice(0, length);
}

async function aesSeal(key, nonce, message, additional) {
  const imported = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["encrypt"]);
  const how = { name: "AES-GCM", iv: nonce, additionalData: additional };
  return new Uint8Array(await crypto.subtle.encrypt(how, imported, message));
}
