import { MAX_STREAMS_TOGETHER } from "./limits.js";
import type { GrpcStream } from "./stream.js";

/** How many streams the connections of one server hold. */
export type StreamCount = { streams: number };

/** The open streams of one connection, which are counted with those of all others. */
export class OpenStreams {
  readonly #byId = new Map<number, GrpcStream>();
  readonly #most: number;
  readonly #together: StreamCount;

  constructor(most: number, together: StreamCount) {
    this.#most = most;
    this.#together = together;
  }

  get size(): number {
    return this.#byId.size;
  }

  get isFull(): boolean {
    return this.size >= this.#most || this.#together.streams >= MAX_STREAMS_TOGETHER;
  }

  get(id: number): GrpcStream | undefined {
    return this.#byId.get(id);
  }

  add(stream: GrpcStream): void {
    this.#byId.set(stream.id, stream);
    this.#together.streams += 1;
  }

  /** False: it was not open. */
  delete(id: number): boolean {
    const wasOpen = this.#byId.delete(id);
    if (wasOpen) this.#together.streams -= 1;
    return wasOpen;
  }

  values(): Iterable<GrpcStream> {
    return this.#byId.values();
  }
}
