/** The admin API over fetch. The key lives in sessionStorage and travels as a header: no cookies. */
import { signal } from "@preact/signals";

const STORED = "callboard.key";
export const PREFIX = "/admin/v1/";

/** Whether the service refused us for want of a key: the page asks for one then. */
export const keyWanted = signal(false);

export function useKey(key) {
  if (key) sessionStorage.setItem(STORED, key);
  else sessionStorage.removeItem(STORED);
  keyWanted.value = false;
}

export const hasKey = () => sessionStorage.getItem(STORED) !== null;

export function headers(more = {}) {
  const key = sessionStorage.getItem(STORED);
  return key ? { ...more, authorization: `Bearer ${key}` } : more;
}

/** An answer that is not a success; `message` is the service's own sentence. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export async function check(response) {
  if (response.status === 401) keyWanted.value = true;
  if (response.ok) return response;
  let message = `${response.status} ${response.statusText}`;
  try {
    message = (await response.json()).error.message;
  } catch {
    // Not one of our documents: the status alone is known.
  }
  throw new ApiError(response.status, message);
}

/** The document at `path`, below /admin/v1. Throws ApiError, or TypeError where nothing answers. */
export async function get(path, signal) {
  const response = await fetch(PREFIX + path, { headers: headers(), cache: "no-store", signal });
  return (await check(response)).json();
}

/** Ask for a change; resolves to the document that says what it was and what it is now. */
export async function post(path, body = {}) {
  const response = await fetch(PREFIX + path, {
    method: "POST",
    headers: headers({ "content-type": "application/json" }),
    body: JSON.stringify(body),
  });
  return (await check(response)).json();
}

const encoded = (text) => encodeURIComponent(text);
export const instancePath = (kind, model, id, action) =>
  `instances/${encoded(kind)}/${encoded(model)}/${encoded(id)}:${action}`;
export const childPath = (path, action) => `tree/${encoded(path)}:${action}`;
