// The browser's own store. It survives the worker, the browser and updates of the extension.

const NAME = "device";
const VERSION = 1;

let opened = null;

function database() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, VERSION);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("identity");
      request.result.createObjectStore("queue", { autoIncrement: true }).createIndex("size", "size");
      request.result.createObjectStore("counts");
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => {
      opened = null;
      reject(request.error);
    };
  });
  return opened;
}

// Runs `work` on one store within one transaction, and answers once everything is on the disk. `work` gets the store
// and returns a request, whose result is the answer, or nothing. It may begin more requests in their callbacks.
export async function within(store, mode, work) {
  const transaction = (await database()).transaction(store, mode, { durability: "strict" });
  return new Promise((resolve, reject) => {
    const request = work(transaction.objectStore(store));
    transaction.oncomplete = () => resolve(request?.result);
    transaction.onabort = () => reject(transaction.error);
  });
}
