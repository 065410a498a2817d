import { createGunzip, createInflate, type Gunzip, type Inflate } from "node:zlib";
import { ServiceError } from "../../../core/error.js";
import type { ByteBudget } from "../../../core/serving/byte-budget.js";
import { NO_ROOM, STATUS, tooLarge, type Encoding } from "./grpc.js";
import type { GrpcStream } from "./stream.js";

/** By gRPC's names; its deflate has zlib's frame (grpc/doc/compression.md). */
const INFLATE: Readonly<Record<Encoding, () => Gunzip | Inflate>> = {
  gzip: createGunzip,
  deflate: createInflate,
};

/** The message, or how its stream ends. */
export type Inflated = Buffer | { readonly code: number; readonly details: string };

/** Reads compressed messages, off the main thread: a small one may become a large one. */
export class Inflater {
  readonly #maxBytes: number;
  readonly #budget: ByteBudget;

  constructor(maxBytes: number, budget: ByteBudget) {
    this.#maxBytes = maxBytes;
    this.#budget = budget;
  }

  /** Never rejects. What it makes counts as held until then. */
  async inflate(stream: GrpcStream, bytes: Buffer): Promise<Inflated> {
    const { encoding } = stream;
    if (encoding === "identity") {
      const details = "a message says that it is compressed, and its call has no grpc-encoding";
      return { code: STATUS.internal, details };
    }
    const inflating = INFLATE[encoding]();
    const lease = this.#budget.open();
    const chunks: Buffer[] = [];
    let inflatedBytes = 0;
    try {
      inflating.end(bytes);
      for await (const chunk of inflating as AsyncIterable<Buffer>) {
        inflatedBytes += chunk.length;
        if (inflatedBytes > this.#maxBytes) return tooLarge(this.#maxBytes);
        lease.take(chunk.length);
        chunks.push(chunk);
      }
      return Buffer.concat(chunks);
    } catch (error) {
      if (error instanceof ServiceError) return NO_ROOM;
      return {
        code: STATUS.invalidArgument,
        details: `a message is no ${encoding}: ${String(error)}`,
      };
    } finally {
      lease.release();
    }
  }
}
