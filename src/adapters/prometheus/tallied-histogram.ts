import type { Metric, Registry } from "prom-client";
import { SeriesByLabels } from "./series-by-labels.js";

/**
 * A histogram for the request path: prom-client's own makes objects and a string for every
 * observation. This one adds to two numbers, and prom-client hears of it at a scrape.
 *
 * @param buckets  upper bounds, ascending
 * @returns observes one value, for these values of the labels, in the order of their names
 */
export function talliedHistogram(
  registry: Registry,
  name: string,
  help: string,
  buckets: readonly number[],
  ...labelNames: readonly string[]
): (value: number, first?: string, second?: string, third?: string) => void {
  const create = () => ({ counts: new Float64Array(buckets.length + 1), sum: 0 });
  const series = new SeriesByLabels(labelNames, create);
  // One without labels is there from the start, as prom-client has it.
  if (labelNames.length === 0) series.of();
  const get = () => {
    const values = series.all.flatMap(({ labels, value: { counts, sum } }) => {
      let total = 0;
      const upTo = [...counts].map((count) => (total += count));
      const bucket = (le: number | string, value: number) => ({
        ...{ labels: { le, ...labels }, value, metricName: `${name}_bucket` },
      });
      return [
        ...buckets.map((bound, at) => bucket(bound, upTo[at] ?? 0)),
        bucket("+Inf", total),
        { labels, value: sum, metricName: `${name}_sum` },
        { labels, value: total, metricName: `${name}_count` },
      ];
    });
    return Promise.resolve({ name, help, type: "histogram", values, aggregator: "sum" });
  };
  // A registry asks a metric for its name and its values, and for nothing else.
  registry.registerMetric({ name, help, type: "histogram", get } as unknown as Metric);
  return (value, first, second, third) => {
    const tally = series.of(first, second, third);
    let at = 0;
    while (at < buckets.length && value > (buckets[at] ?? 0)) at++;
    tally.counts[at] = (tally.counts[at] ?? 0) + 1;
    tally.sum += value;
  };
}
