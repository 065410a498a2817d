import type { Metric, Registry } from "prom-client";

/**
 * A histogram without labels for the request path: prom-client's own makes objects and a string for
 * every observation. This one adds to two numbers, and prom-client hears of it at a scrape.
 *
 * @param buckets  upper bounds, ascending
 * @returns        observes one value
 */
export function talliedHistogram(
  registry: Registry,
  name: string,
  help: string,
  buckets: readonly number[],
): (value: number) => void {
  const counts = new Float64Array(buckets.length + 1);
  let sum = 0;
  const get = () => {
    let total = 0;
    const upTo = [...counts].map((count) => (total += count));
    const bucket = (le: number | string, value: number) => ({
      ...{ labels: { le }, value, metricName: `${name}_bucket` },
    });
    const values = [
      ...buckets.map((bound, at) => bucket(bound, upTo[at] ?? 0)),
      bucket("+Inf", total),
      { labels: {}, value: sum, metricName: `${name}_sum` },
      { labels: {}, value: total, metricName: `${name}_count` },
    ];
    return Promise.resolve({ name, help, type: "histogram", values, aggregator: "sum" });
  };
  // A registry asks a metric for its name and its values, and for nothing else.
  registry.registerMetric({ name, help, type: "histogram", get } as unknown as Metric);
  return (value) => {
    let at = 0;
    while (at < buckets.length && value > (buckets[at] ?? 0)) at++;
    counts[at] = (counts[at] ?? 0) + 1;
    sum += value;
  };
}
