import { Counter, type Registry } from "prom-client";

/** Reached from the root by the value of one label after the other. */
type Tally = { count: number; readonly next: Map<string, Tally> };

const emptyTally = (): Tally => ({ count: 0, next: new Map() });

function nextOf(tally: Tally, value: string | undefined): Tally {
  if (value === undefined) return tally;
  let next = tally.next.get(value);
  if (next === undefined) {
    next = emptyTally();
    tally.next.set(value, next);
  }
  return next;
}

/**
 * A counter for the request path. prom-client makes a string of all labels, and looks it up, for
 * every count; this one walks Maps, and prom-client hears of it at a scrape.
 *
 * @returns counts one for these values of the labels, in the order of their names
 */
export function talliedCounter(
  registry: Registry,
  name: string,
  help: string,
  ...labelNames: readonly string[]
): (first?: string, second?: string, third?: string) => void {
  const root = emptyTally();
  const series: { readonly labels: Record<string, string>; readonly tally: Tally }[] = [];
  new Counter({
    ...{ name, help, labelNames, registers: [registry] },
    collect() {
      this.reset();
      for (const { labels, tally } of series) this.inc(labels, tally.count);
    },
  });
  // No rest parameter: it would be a list made for every count.
  return (first, second, third) => {
    const tally = nextOf(nextOf(nextOf(root, first), second), third);
    if (tally.count === 0) {
      const values = [first, second, third];
      const labels = Object.fromEntries(labelNames.map((label, at) => [label, values[at] ?? ""]));
      series.push({ labels, tally });
    }
    tally.count += 1;
  };
}
