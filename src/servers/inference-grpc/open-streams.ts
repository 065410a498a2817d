import type { EventEmitter } from "node:events";

/** Calls that stay open as long as their peers like, each with what ends it in good order. */
export class OpenStreams {
  readonly #open = new Map<EventEmitter, () => void>();

  add(call: EventEmitter, finish: () => void): void {
    this.#open.set(call, finish);
    // grpc-js says so at the end of every stream, cancelled or not.
    call.once("cancelled", () => this.#open.delete(call));
  }

  finish(): void {
    for (const finish of this.#open.values()) finish();
  }
}
