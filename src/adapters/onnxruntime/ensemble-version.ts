import type { InstancePool, LoadedVersion } from "../../app/model-ports.js";
import { invariant } from "../../core/invariant.js";
import { orderSteps } from "../../core/serving/ensemble.js";
import type { ModelFolder, VersionFolder } from "./read-repository.js";

/** An ensemble has no session: its steps run in the instances of their models. */
const NO_INSTANCES: InstancePool = {
  idle: () => 0,
  state: () => "ready",
  run: () => Promise.reject(new Error("an ensemble has no instances")),
  onChange: () => undefined,
  close: () => Promise.resolve(),
};

/** @throws Error  with everything that is wrong with the graph by itself */
export function ensembleVersion(
  { name, manifest }: ModelFolder,
  { version, labels }: VersionFolder,
  fingerprint: string,
): LoadedVersion {
  const { ensemble, inputs, outputs, maxBatchSize } = manifest;
  const isWhole = ensemble !== undefined && inputs !== undefined && outputs !== undefined;
  invariant(isWhole, "the schema makes an ensemble say what it takes and gives");
  const { steps, issues } = orderSteps(ensemble.steps, { inputs, outputs });
  if (issues.length > 0) throw new Error(issues.join("; "));
  const { sloMs, maxQueued, maxQueueDelayMs, coalesce, responseCache } = manifest;
  return {
    spec: { name, version, inputs, outputs, maxBatchSize, steps, labels, takesRawBody: false },
    ...{ instances: NO_INSTANCES, instanceCount: 1, executionProviders: [], fingerprint },
    ...{ sloMs, maxQueued, maxQueueDelayMs, coalesce, cacheBytes: responseCache?.maxBytes },
    profile: [],
  };
}
