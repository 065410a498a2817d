import { ServiceError } from "../error.js";

/** Bounds the bytes of bodies, of requests and answers, that one process holds over every wire. */
export class ByteBudget {
  readonly #limitBytes: number;
  #heldBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** What one body holds; `release` gives all of it back, once. */
  open(): ByteLease {
    let taken = 0;
    let isOpen = true;
    return {
      take: (bytes) => {
        if (!isOpen) return;
        if (this.#heldBytes + bytes > this.#limitBytes) {
          throw new ServiceError(
            "overloaded",
            `requests under way and answers not taken hold ${this.#heldBytes} bytes, the limit of this process is ${this.#limitBytes} (--max-held-bytes)`,
            { retryAfterMs: 1000 },
          );
        }
        this.#heldBytes += bytes;
        taken += bytes;
      },
      release: () => {
        isOpen = false;
        this.#heldBytes -= taken;
        taken = 0;
      },
    };
  }
}

export type ByteLease = {
  /** Throws `overloaded` when the process has no room for these bytes. */
  take(bytes: number): void;
  release(): void;
};
