import type { LoadNow } from "../app/metered-load.js";
import { loadReport } from "../core/serving/orca.js";

export const LOAD_FORMAT_HEADER = "endpoint-load-metrics-format";

/** The header that carries the load report in the form asked for, if it was asked for. */
export function loadHeader(
  format: string | undefined,
  loadNow: LoadNow,
): { readonly name: string; readonly value: string | Buffer } | undefined {
  if (format === undefined) return undefined;
  const report = loadReport(format, loadNow());
  if (report === undefined) return undefined;
  return report.kind === "text"
    ? { name: "endpoint-load-metrics", value: report.value }
    : { name: "endpoint-load-metrics-bin", value: Buffer.from(report.value) };
}
