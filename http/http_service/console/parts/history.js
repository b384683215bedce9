/** What was asked in the playground, in this browser's IndexedDB only. */
import { signal } from "@preact/signals";

const KEPT = 50;
export const history = signal([]);

function opened() {
  return new Promise((done, failed) => {
    const request = indexedDB.open("callboard", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("talks", { autoIncrement: true });
    request.onsuccess = () => done(request.result);
    request.onerror = () => failed(request.error);
  });
}

async function within(mode, work) {
  const base = await opened();
  try {
    return await new Promise((done, failed) => {
      const transaction = base.transaction("talks", mode);
      const request = work(transaction.objectStore("talks"));
      transaction.oncomplete = () => done(request.result);
      transaction.onerror = () => failed(transaction.error);
    });
  } finally {
    base.close();
  }
}

/** The last questions, newest first; none where the browser keeps nothing. */
export async function recall() {
  try {
    const all = await within("readonly", (talks) => talks.getAll());
    history.value = all.reverse().slice(0, KEPT);
  } catch {
    history.value = []; // a private window: the playground works without it
  }
}

export async function keep(talk) {
  try {
    await within("readwrite", (talks) => talks.add(talk));
  } catch {
    return; // as above
  }
  await recall();
}

export async function forget() {
  await within("readwrite", (talks) => talks.clear());
  await recall();
}
