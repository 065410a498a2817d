import { collectDefaultMetrics, type Registry } from "prom-client";

/** Memory, CPU, garbage collection, and the event loop's lag (nodejs_eventloop_lag_*_seconds). */
export function exposeProcess(registry: Registry): void {
  collectDefaultMetrics({ register: registry });
}
