import type { Check } from "./check.js";
import { chainChecks } from "./checks/chain.js";
import { clustersChecks } from "./checks/clusters.js";
import { identityChecks } from "./checks/identity.js";
import { limitsChecks } from "./checks/limits.js";
import { podsChecks } from "./checks/pods.js";
import { policyChecks } from "./checks/policy.js";
import { routesChecks } from "./checks/routes.js";
import { settingsChecks } from "./checks/settings.js";

/** Everything that `weir doctor` looks for, by the part of a mesh that it concerns. */
export const CHECKS: Readonly<Record<string, readonly Check[]>> = {
  "The filter chain": chainChecks,
  "The ext_proc filter": settingsChecks,
  Routes: routesChecks,
  "Local limits and headers": limitsChecks,
  Clusters: clustersChecks,
  Identity: identityChecks,
  Pods: podsChecks,
  Policy: policyChecks,
};
