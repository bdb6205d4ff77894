// The browser's own store. It survives the worker, the browser and updates of the extension.

const NAME = "device";
const VERSION = 2;

let opened = null;

function database() {
  opened ??= open().catch((error) => {
    opened = null;
    throw error;
  });
  return opened;
}

function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, VERSION);
    request.onupgradeneeded = ({ oldVersion }) => {
      if (oldVersion < 1) create(request.result);
      addSources(request.transaction.objectStore("queue"));
    };
    request.onsuccess = () => {
      const database = request.result;
      database.onclose = () => (opened = null); // the browser took it away, as when its files are damaged
      database.onversionchange = () => {
        database.close();
        opened = null;
      };
      resolve(database);
    };
    request.onerror = () => reject(request.error);
  });
}

function create(database) {
  database.createObjectStore("identity");
  database.createObjectStore("queue", { autoIncrement: true });
  database.createObjectStore("counts");
}

// Version 1 did not know where an observation came from.
function addSources(queue) {
  if (queue.indexNames.contains("size")) queue.deleteIndex("size");
  queue.createIndex("about", ["size", "source"]);
  queue.openCursor().onsuccess = ({ target: { result: cursor } }) => {
    if (!cursor) return;
    cursor.update({ source: "", ...cursor.value });
    cursor.continue();
  };
}

// Runs `work` on one store within one transaction, and answers once everything is on the disk. `work` gets the store
// and returns a request, whose result is the answer, or nothing. It may begin more requests in their callbacks.
export async function within(store, mode, work) {
  const transaction = await begin(store, mode);
  return new Promise((resolve, reject) => {
    const request = work(transaction.objectStore(store));
    transaction.oncomplete = () => resolve(request?.result);
    transaction.onabort = () => reject(transaction.error);
  });
}

async function begin(store, mode) {
  const how = { durability: "strict" };
  try {
    return (await database()).transaction(store, mode, how);
  } catch {
    opened = null; // it is closing
    return (await database()).transaction(store, mode, how);
  }
}
