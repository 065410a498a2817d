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

  /** Of these values of the labels, in the order of their names. No list is made of them. */
  of(first?: string, second?: string, third?: string): Value {
    const node = nextOf(nextOf(nextOf(this.#root, first), second), third);
    return (node.value ??= this.#begin([first, second, third]));
  }

  #begin(labelValues: readonly (string | undefined)[]): Value {
    const value = this.#create();
    const labels = this.#labelNames.map((name, at) => [name, labelValues[at] ?? ""]);
    this.all.push({ labels: Object.fromEntries(labels) as Record<string, string>, value });
    return value;
  }
}

function nextOf<Value>(node: Node<Value>, label: string | undefined): Node<Value> {
  if (label === undefined) return node;
  let next = node.next.get(label);
  if (next === undefined) {
    next = { value: undefined, next: new Map() };
    node.next.set(label, next);
  }
  return next;
}
