/** The one template function: components are written as `html`…``, and everything in them is text. */
import { h } from "preact";
import htm from "htm";

export const html = htm.bind(h);
