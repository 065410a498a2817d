/** How many checks in a row change a version's state. */
export type HealthThresholds = {
  readonly unhealthyThreshold: number;
  readonly healthyThreshold: number;
};

export type HealthState = {
  readonly healthy: boolean;
  /** Checks in a row that contradict `healthy`. */
  readonly contrary: number;
};

/** A version that nobody has checked yet gets traffic. */
export const INITIAL_HEALTH: HealthState = { healthy: true, contrary: 0 };

/** The state after one more check: hysteresis, as Envoy's active health checks have it. */
export function afterCheck(
  state: HealthState,
  passed: boolean,
  thresholds: HealthThresholds,
): HealthState {
  if (passed === state.healthy) return { healthy: state.healthy, contrary: 0 };
  const { unhealthyThreshold, healthyThreshold } = thresholds;
  const contrary = state.contrary + 1;
  return contrary >= (passed ? healthyThreshold : unhealthyThreshold)
    ? { healthy: passed, contrary: 0 }
    : { healthy: state.healthy, contrary };
}
