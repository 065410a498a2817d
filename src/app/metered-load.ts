import { LoadMeter } from "../core/serving/load-meter.js";
import type { Load } from "../core/serving/load-meter.js";
import type { ServingMetrics } from "./model-ports.js";
import type { Clock } from "./ports.js";
import type { ServedModels } from "./served-models.js";

/** The load of this process now. */
export type LoadNow = () => Load;

/** Metrics that are metered too, so that the load says the same as they. */
export function meteredLoad(clock: Clock, metrics: ServingMetrics) {
  const meter = new LoadMeter(clock.monotonicMs());
  const metered: ServingMetrics = {
    answered: (request) => {
      meter.answered(request.status >= 500, clock.monotonicMs());
      metrics.answered(request);
    },
    waited: (version, seconds) => {
      meter.waited(seconds, clock.monotonicMs());
      metrics.waited(version, seconds);
    },
    ran: (version, items, seconds) => {
      meter.ran(keyOf(version), seconds, clock.monotonicMs());
      metrics.ran(version, items, seconds);
    },
    queued: (version, items) => {
      meter.queued(keyOf(version), items);
      metrics.queued(version, items);
    },
  };
  const loadOf = (models: ServedModels): Load => {
    const served = models.list();
    const instances = served.map(({ spec, loaded }): [string, number] => {
      return [keyOf({ model: spec.name, version: spec.version }), loaded.instanceCount];
    });
    const predictedWaitMs = Math.max(0, ...served.map(({ queue }) => queue.predictedWaitMs()));
    return { ...meter.at(clock.monotonicMs(), new Map(instances)), predictedWaitMs };
  };
  return { metrics: metered, loadOf };
}

const keyOf = ({ model, version }: { readonly model: string; readonly version: string }) =>
  `${model}/${version}`;
