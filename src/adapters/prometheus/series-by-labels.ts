type Node<Value> = { value: Value | undefined; readonly next: Map<string, Node<Value>> };

export type Series<Value> = {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: Value;
};

/**
 * What is kept for each set of label values, for the request path: prom-client makes a string of
 * all labels, and looks it up, each time; this walks one Map for each label.
 */
export class SeriesByLabels<Value> {
  /** In the order in which they were first asked for. */
  readonly all: Series<Value>[] = [];
  readonly #labelNames: readonly string[];
  readonly #create: () => Value;
  readonly #root: Node<Value> = { value: undefined, next: new Map() };

  constructor(labelNames: readonly string[], create: () => Value) {
    this.#labelNames = labelNames;
    this.#create = create;
  }

  /** Of these values of the labels, in the order of their names. */
  of(labelValues: readonly string[]): Value {
    let node = this.#root;
    for (const label of labelValues) {
      let next = node.next.get(label);
      if (next === undefined) {
        next = { value: undefined, next: new Map() };
        node.next.set(label, next);
      }
      node = next;
    }
    return (node.value ??= this.#begin(labelValues));
  }

  #begin(labelValues: readonly string[]): Value {
    const value = this.#create();
    const labels = this.#labelNames.map((name, at) => [name, labelValues[at] ?? ""]);
    this.all.push({ labels: Object.fromEntries(labels) as Record<string, string>, value });
    return value;
  }
}
