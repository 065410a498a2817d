/** Calls that stay open as long as their peers like, each with what ends it in good order. */
export class OpenStreams {
  readonly #open = new Map<object, () => void>();

  add(call: object, finish: () => void): void {
    this.#open.set(call, finish);
  }

  delete(call: object): void {
    this.#open.delete(call);
  }

  finish(): void {
    for (const finish of this.#open.values()) finish();
  }
}
