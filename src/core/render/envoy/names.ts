import type { Shadow } from "../../../schema/shadow.js";

/** Value of `x-weir-version`: the one header on which routes match. */
export function versionKey(model: string, version: string): string {
  return `${model}/${version}`;
}

/** Cluster of one version's pods. */
export function versionCluster(model: string, version: string): string {
  return `weir/${versionKey(model, version)}`;
}

/**
 * Cluster that receives a shadow's copies; also the value of `x-weir-shadow-cluster`. Every shadow
 * has its own, even when it shares the version's pods: then its circuit breaker bounds copies only.
 */
export function shadowCluster(shadow: Pick<Shadow, "name">): string {
  return `weir-shadow/${shadow.name}`;
}

/** Cluster of the external processors. */
export const EXTPROC_CLUSTER = "weir-extproc";

/** Cluster for requests that belong to no model. */
export const PASSTHROUGH_CLUSTER = "weir-passthrough";
