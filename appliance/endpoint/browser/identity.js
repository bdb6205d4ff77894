// Who this browser is: a key pair whose private half nobody can take out, and how often it has shown it.

import { within } from "./database.js";
import { fromBase64url, join, toBase64url, utf8 } from "./bytes.js";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256" };
const SIGNATURE = { name: "ECDSA", hash: "SHA-256" };
const KEPT_AS = "device";
const LABEL = "appliance endpoint v1";
const ZERO = new Uint8Array(1);

// The proof for one connection: the public key, a counter that is one higher than ever before, and the signature.
export async function prove(host, nonce) {
  await makeOnce();
  const { pair, counter } = await countUp();
  const message = join(
    utf8(LABEL), ZERO, utf8(host), ZERO, fromBase64url(nonce), ZERO, utf8(String(counter)),
  );
  const signature = await crypto.subtle.sign(SIGNATURE, pair.privateKey, message);
  return { key: await spelled(pair.publicKey), counter, signature: toBase64url(new Uint8Array(signature)) };
}

// The public key as the box knows it: base64url of its SPKI.
export async function publicKey() {
  await makeOnce();
  const { pair } = await within("identity", "readonly", (store) => store.get(KEPT_AS));
  return spelled(pair.publicKey);
}

async function spelled(key) {
  return toBase64url(new Uint8Array(await crypto.subtle.exportKey("spki", key)));
}

// Whether the box has taken the enrolment key from this browser: it is not shown again then.
export async function isKnown() {
  return Boolean((await within("identity", "readonly", (store) => store.get(KEPT_AS)))?.isKnown);
}

export async function setKnown(isKnown) {
  await change((device) => ({ ...device, isKnown }));
}

async function makeOnce() {
  if (await within("identity", "readonly", (store) => store.getKey(KEPT_AS))) return;
  const pair = await crypto.subtle.generateKey(ALGORITHM, false, ["sign", "verify"]);
  await change((device) => device ?? { pair, counter: 0, isKnown: false }); // another call may have been quicker
}

async function countUp() {
  return change((device) => ({ ...device, counter: device.counter + 1 }));
}

async function change(how) {
  let changed;
  await within("identity", "readwrite", (store) => {
    const request = store.get(KEPT_AS);
    request.onsuccess = () => {
      changed = how(request.result);
      store.put(changed, KEPT_AS);
    };
  });
  return changed;
}
