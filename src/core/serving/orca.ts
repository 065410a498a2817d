import type { Load } from "./load-meter.js";

/**
 * Open Request Cost Aggregation: the load of an endpoint beside its answers, for balancers such as
 * Envoy's client-side weighted round robin, which divides rps by utilisation. Field names and numbers
 * are those of xds.data.orca.v3.OrcaLoadReport.
 */
export type LoadReport =
  /** Header `endpoint-load-metrics`. */
  | { readonly kind: "text"; readonly value: string }
  /** Header `endpoint-load-metrics-bin`: the message. */
  | { readonly kind: "binary"; readonly value: Uint8Array };

/** In the form that `endpoint-load-metrics-format` asks for; undefined: no form of ours. */
export function loadReport(format: string | undefined, load: Load): LoadReport | undefined {
  if (format === undefined) return undefined;
  switch (format.trim().toLowerCase()) {
    case "text":
      return { kind: "text", value: `TEXT ${textOf(load)}` };
    case "json":
      return { kind: "text", value: `JSON ${jsonOf(load)}` };
    case "bin":
      return { kind: "binary", value: binaryOf(load) };
    default:
      return undefined;
  }
}

const scalarsOf = (load: Load) => ({
  rps_fractional: rounded(load.requestsPerSecond),
  eps: rounded(load.errorsPerSecond),
  application_utilization: rounded(load.utilization),
});

const namedOf = (load: Load) => ({
  queue_wait_ms: rounded(load.queueWaitMs),
  predicted_wait_ms: rounded(load.predictedWaitMs),
  queued_items: load.queuedItems,
});

function textOf(load: Load): string {
  const named = Object.entries(namedOf(load)).map(([name, value]): [string, number] => [
    `named_metrics.${name}`,
    value,
  ]);
  return [...Object.entries(scalarsOf(load)), ...named]
    .map(([name, value]) => `${name}=${value}`)
    .join(", ");
}

const jsonOf = (load: Load) => JSON.stringify({ ...scalarsOf(load), named_metrics: namedOf(load) });

function binaryOf(load: Load): Uint8Array {
  const { rps_fractional, eps, application_utilization } = scalarsOf(load);
  return Uint8Array.from([
    ...doubleField(6, rps_fractional),
    ...doubleField(7, eps),
    ...Object.entries(namedOf(load)).flatMap(([name, value]) => {
      // The names are ASCII, and an entry is shorter than 128 bytes: one byte says its length.
      const key = Array.from(name, (character) => character.charCodeAt(0));
      const entry = [tag(1, LENGTH), key.length, ...key, ...doubleField(2, value)];
      return [tag(8, LENGTH), entry.length, ...entry];
    }),
    ...doubleField(9, application_utilization),
  ]);
}

const FIXED64 = 1;
const LENGTH = 2;
const tag = (field: number, wireType: number) => (field << 3) | wireType;

function doubleField(field: number, value: number): readonly number[] {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value, true);
  return [tag(field, FIXED64), ...bytes];
}

/** A text of Infinity or of 20 digits serves nobody. */
const rounded = (value: number) => Math.round(value * 1e6) / 1e6;
