import { LRUCache } from "lru-cache";
import { ownTensor } from "../core/serving/own-tensor.js";
import type { ModelOutput } from "./model-ports.js";

/** What an entry costs beside its data: its key, the maps and the objects that hold it. */
const ENTRY_BYTES = 512;

/**
 * Answers of one model version by the digest of their inputs: those used last, in so many bytes. It
 * lives and ends with its version, so that files that changed have a cache of their own.
 */
export class ResponseCache {
  readonly #answers: LRUCache<string, ModelOutput>;

  /** @param maxBytes  of data and what holds it; an answer of over half of that is not kept */
  constructor(maxBytes: number) {
    this.#answers = new LRUCache({
      ...{ maxSize: maxBytes, maxEntrySize: Math.ceil(maxBytes / 2), sizeCalculation: bytesOf },
    });
  }

  get(digest: string): ModelOutput | undefined {
    return this.#answers.get(digest);
  }

  set(digest: string, outputs: ModelOutput): void {
    // A view would keep the memory of a whole batch.
    this.#answers.set(
      digest,
      new Map([...outputs].map(([name, tensor]) => [name, ownTensor(tensor)])),
    );
  }

  explain() {
    return { answers: this.#answers.size, bytes: this.#answers.calculatedSize };
  }
}

function bytesOf(outputs: ModelOutput): number {
  let bytes = ENTRY_BYTES;
  for (const { data } of outputs.values()) {
    if (ArrayBuffer.isView(data)) bytes += data.byteLength;
    else for (const text of data) bytes += 2 * text.length + TEXT_BYTES;
  }
  return bytes;
}

/** Of a string, beside its characters. */
const TEXT_BYTES = 24;
