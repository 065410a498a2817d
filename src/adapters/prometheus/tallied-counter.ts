import { Counter, type Registry } from "prom-client";
import { SeriesByLabels } from "./series-by-labels.js";

/**
 * A counter for the request path: prom-client hears of it at a scrape.
 *
 * @returns counts one for these values of the labels, in the order of their names
 */
export function talliedCounter(
  registry: Registry,
  name: string,
  help: string,
  ...labelNames: readonly string[]
): (first?: string, second?: string, third?: string) => void {
  const series = new SeriesByLabels(labelNames, () => ({ count: 0 }));
  new Counter({
    ...{ name, help, labelNames, registers: [registry] },
    collect() {
      this.reset();
      for (const { labels, value } of series.all) this.inc(labels, value.count);
    },
  });
  return (first, second, third) => {
    series.of(first, second, third).count += 1;
  };
}
