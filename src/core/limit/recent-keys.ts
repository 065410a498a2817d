/** One key and its value, between those that were used before and after it; alone at first. */
class Link<Value> {
  readonly limit: string;
  readonly key: string;
  value: Value;
  older: Link<Value> = this;
  newer: Link<Value> = this;

  constructor(limit: string, key: string, value: Value) {
    this.limit = limit;
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
 * The values of the limits' keys used last, at most `maxKeys` of them: a ring in order of use. Not
 * the order of a Map, whose entries would be deleted and set again at every use: it keeps the holes,
 * and finding its first key walks over all of them. One Map for each limit, because joining its name
 * and the key makes a new string, and to hash that takes longer than to look up twice.
 */
export class RecentKeys<Value> {
  readonly #maxKeys: number;
  readonly #byLimit = new Map<string, Map<string, Link<Value>>>();
  #size = 0;
  /** The key used longest ago; its `older` is the newest. */
  #oldest: Link<Value> | undefined;

  constructor(maxKeys: number) {
    this.#maxKeys = maxKeys;
  }

  get size(): number {
    return this.#size;
  }

  /** Looking a key up does not use it. */
  get(limit: string, key: string): Value | undefined {
    return this.#find(limit, key)?.value;
  }

  /** Looks a known key up, and uses it. */
  touch(limit: string, key: string): Value | undefined {
    const known = this.#find(limit, key);
    if (known !== undefined) this.#renew(known);
    return known?.value;
  }

  use(limit: string, key: string, value: Value): void {
    const known = this.#find(limit, key);
    if (known === undefined) {
      this.#add(limit, key, value);
      return;
    }
    known.value = value;
    this.#renew(known);
  }

  #find(limit: string, key: string): Link<Value> | undefined {
    return this.#byLimit.get(limit)?.get(key);
  }

  #renew(known: Link<Value>): void {
    if (this.#oldest === undefined || known === this.#oldest.older) return;
    if (known === this.#oldest) this.#oldest = known.newer;
    else known.moveBefore(this.#oldest);
  }

  #add(limit: string, key: string, value: Value): void {
    const link = new Link(limit, key, value);
    const keys = this.#byLimit.get(limit);
    if (keys === undefined) this.#byLimit.set(limit, new Map([[key, link]]));
    else keys.set(key, link);
    this.#size++;
    if (this.#oldest === undefined) this.#oldest = link;
    else link.moveBefore(this.#oldest);
    if (this.#size > this.#maxKeys) this.#forget(this.#oldest);
  }

  #forget(link: Link<Value>): void {
    this.#oldest = link.newer;
    link.takeOut();
    const keys = this.#byLimit.get(link.limit);
    keys?.delete(link.key);
    if (keys?.size === 0) this.#byLimit.delete(link.limit);
    this.#size--;
  }
}
