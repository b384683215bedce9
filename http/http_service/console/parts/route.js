/** Which page is shown: `#/page/what`, so that a link to anything can be kept and sent. */
import { signal } from "@preact/signals";

function read() {
  const [page = "", ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  return { page: page || "overview", what: rest.map(decode) };
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export const route = signal(read());
addEventListener("hashchange", () => (route.value = read()));

/** The link to `page` and to what it shows of it. */
export const to = (page, ...what) =>
  `#/${[page === "overview" ? "" : page, ...what.filter((each) => each !== undefined).map(encodeURIComponent)].join("/")}`;

export const go = (...where) => (location.hash = to(...where));
