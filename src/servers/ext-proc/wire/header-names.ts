import { charCodeOf } from "../../../core/char-code.js";

/** A power of two. */
const SLOTS = 512;
/** Longer ones are rare, and not ours. */
const MAX_LENGTH = 64;

/**
 * Names of headers as strings in lower case. The same few come with every request, so each is made
 * once, and comparing it later is comparing references. One name for each hash, the one that came
 * last: clients choose some names, and cannot make this grow.
 */
export class HeaderNames {
  readonly #bySlot: string[] = new Array<string>(SLOTS).fill("");

  read(bytes: Buffer, from: number, to: number): string {
    if (to - from > MAX_LENGTH) return decoded(bytes, from, to);
    let hash = 0;
    for (let at = from; at < to; at++) hash = (Math.imul(hash, 31) + (bytes[at] ?? 0)) | 0;
    const slot = (hash ^ (hash >>> 16)) & (SLOTS - 1);
    const known = this.#bySlot[slot] ?? "";
    if (isSame(known, bytes, from, to)) return known;
    const name = decoded(bytes, from, to);
    this.#bySlot[slot] = name;
    return name;
  }
}

const decoded = (bytes: Buffer, from: number, to: number) =>
  bytes.toString("utf8", from, to).toLowerCase();

/** Of ASCII in lower case alone: every other name is decoded again. */
function isSame(name: string, bytes: Buffer, from: number, to: number): boolean {
  if (name.length !== to - from) return false;
  for (let at = 0; at < name.length; at++) {
    const code = charCodeOf(name, at);
    if (code !== bytes[from + at] || code >= 0x80) return false;
  }
  return true;
}
