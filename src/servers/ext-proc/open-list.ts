/** What an item has to keep for its list. */
export type Listed = { at: number };

/**
 * Items in no order, that come and go in constant time. Not a Set: V8's tables of one whose items
 * come and go keep those alive that have gone (servers/grpc/http2/open-streams.ts says how).
 */
export class OpenList<Item extends Listed> {
  readonly #items: Item[] = [];

  add(item: Item): void {
    item.at = this.#items.length;
    this.#items.push(item);
  }

  /** The last one takes its place. */
  delete(item: Item): void {
    const last = this.#items.pop();
    if (last === undefined || last === item) return;
    this.#items[item.at] = last;
    last.at = item.at;
  }

  /** As they are now. */
  values(): readonly Item[] {
    return [...this.#items];
  }
}
