import { randomInt } from "node:crypto";
import { MAX_STREAMS_TOGETHER } from "./limits.js";

/** How many streams the connections of one server hold. */
export type StreamCount = { streams: number };

type WithId = { readonly id: number };
type Slots<Stream> = (Stream | undefined)[];

/** Powers of two: at most half of the slots are used. */
const LEAST_SLOTS = 64;

/**
 * The open streams of one connection, which are counted with those of all others.
 *
 * Open addressing with linear probing, and not a Map. A Map whose entries come and go makes a new
 * table every few entries, and V8's old table points to the next: one that has reached the old
 * generation keeps alive every table after it, and with them all that the closed streams held, until
 * the next major collection. Every request would be copied there.
 */
export class OpenStreams<Stream extends WithId> {
  #slots: Slots<Stream> = slotsOf(LEAST_SLOTS);
  #size = 0;
  /** Odd; drawn, for a peer chooses its ids and shall not choose where they collide. */
  readonly #factor = 2 * randomInt(2 ** 30, 2 ** 31) + 1;
  readonly #most: number;
  readonly #together: StreamCount;

  constructor(most: number, together: StreamCount) {
    this.#most = most;
    this.#together = together;
  }

  get size(): number {
    return this.#size;
  }

  get isFull(): boolean {
    return this.#size >= this.#most || this.#together.streams >= MAX_STREAMS_TOGETHER;
  }

  get(id: number): Stream | undefined {
    return this.#slots[this.#slotOf(id)];
  }

  add(stream: Stream): void {
    if (2 * this.#size >= this.#slots.length) this.#resize(2 * this.#slots.length);
    this.#slots[this.#slotOf(stream.id)] = stream;
    this.#size += 1;
    this.#together.streams += 1;
  }

  /** False: it was not open. */
  delete(id: number): boolean {
    const at = this.#slotOf(id);
    if (this.#slots[at] === undefined) return false;
    this.#vacate(at);
    this.#size -= 1;
    this.#together.streams -= 1;
    const slots = this.#slots.length;
    if (slots > LEAST_SLOTS && 8 * this.#size < slots) this.#resize(slots / 2);
    return true;
  }

  /** As they are now. */
  values(): readonly Stream[] {
    return this.#slots.filter((stream) => stream !== undefined);
  }

  /** Where a stream is, or would be put. */
  #slotOf(id: number): number {
    const slots = this.#slots;
    let at = this.#homeOf(id);
    for (let held = slots[at]; held !== undefined && held.id !== id; held = slots[at]) {
      at = this.#after(at);
    }
    return at;
  }

  /** Multiplicative hashing: the upper bits of the product. */
  #homeOf(id: number): number {
    return Math.imul(id, this.#factor) >>> (Math.clz32(this.#slots.length) + 1);
  }

  #after(at: number): number {
    return (at + 1) & (this.#slots.length - 1);
  }

  /** Moves up what was put further on because its slot was taken, so that it is found. */
  #vacate(at: number): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let gap = at;
    slots[gap] = undefined;
    for (let next = this.#after(gap); ; next = this.#after(next)) {
      const held = slots[next];
      if (held === undefined) return;
      const fromHome = (next - this.#homeOf(held.id)) & mask;
      if (fromHome < ((next - gap) & mask)) continue;
      slots[gap] = held;
      slots[next] = undefined;
      gap = next;
    }
  }

  #resize(count: number): void {
    const held = this.values();
    this.#slots = slotsOf(count);
    for (const stream of held) this.#slots[this.#slotOf(stream.id)] = stream;
  }
}

function slotsOf<Stream>(count: number): Slots<Stream> {
  return new Array<Stream | undefined>(count).fill(undefined);
}
