/** One key and its value, between those that were used before and after it; alone at first. */
class Link<Value> {
  readonly key: string;
  value: Value;
  older: Link<Value> = this;
  newer: Link<Value> = this;

  constructor(key: string, value: Value) {
    this.key = key;
    this.value = value;
  }

  takeOut(): void {
    this.older.newer = this.newer;
    this.newer.older = this.older;
  }

  moveBefore(newer: Link<Value>): void {
    this.takeOut();
    this.older = newer.older;
    this.newer = newer;
    newer.older.newer = this;
    newer.older = this;
  }
}

/**
 * The values of the keys used last, at most `maxKeys` of them: a ring in order of use. Not the order
 * of a Map, whose entries would be deleted and set again at every use: it keeps the holes, and
 * finding its first key walks over all of them.
 */
export class RecentKeys<Value> {
  readonly #maxKeys: number;
  readonly #byKey = new Map<string, Link<Value>>();
  /** The key used longest ago; its `older` is the newest. */
  #oldest: Link<Value> | undefined;

  constructor(maxKeys: number) {
    this.#maxKeys = maxKeys;
  }

  get size(): number {
    return this.#byKey.size;
  }

  /** Looking a key up does not use it. */
  get(key: string): Value | undefined {
    return this.#byKey.get(key)?.value;
  }

  /** Looks a known key up, and uses it. */
  touch(key: string): Value | undefined {
    const known = this.#byKey.get(key);
    if (known !== undefined) this.#renew(known);
    return known?.value;
  }

  use(key: string, value: Value): void {
    const known = this.#byKey.get(key);
    if (known === undefined) {
      this.#add(key, value);
      return;
    }
    known.value = value;
    this.#renew(known);
  }

  #renew(known: Link<Value>): void {
    if (this.#oldest === undefined || known === this.#oldest.older) return;
    if (known === this.#oldest) this.#oldest = known.newer;
    else known.moveBefore(this.#oldest);
  }

  #add(key: string, value: Value): void {
    const link = new Link(key, value);
    this.#byKey.set(key, link);
    if (this.#oldest === undefined) this.#oldest = link;
    else link.moveBefore(this.#oldest);
    if (this.#byKey.size > this.#maxKeys) this.#forget(this.#oldest);
  }

  #forget(link: Link<Value>): void {
    this.#oldest = link.newer;
    link.takeOut();
    this.#byKey.delete(link.key);
  }
}
