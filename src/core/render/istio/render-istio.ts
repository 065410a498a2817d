import type { Policy } from "../../../schema/policy.js";
import type { RenderedDocument } from "../rendered-document.js";
import { whileAway } from "../envoy/fallback-filter.js";
import { authorizationPolicies } from "./authorization-policies.js";
import { destinationRules } from "./destination-rules.js";
import { envoyFilters } from "./envoy-filters.js";
import type { IstioOptions } from "./options.js";
import { peerAuthentications } from "./peer-authentications.js";
import { serviceEntries } from "./service-entries.js";
import { telemetries } from "./telemetries.js";
import { virtualServices } from "./virtual-services.js";

/**
 * Every resource that a policy needs in a mesh of Istio 1.28 to 1.31, in an order in which they
 * may be applied: what others refer to comes first.
 *
 * @param policy  one that `istioIssues` has nothing against
 */
export function renderIstio(policy: Policy, options: IstioOptions): readonly RenderedDocument[] {
  const [first, ...others] = [
    ...serviceEntries(policy, options),
    ...destinationRules(policy, options),
    ...peerAuthentications(policy, options),
    ...authorizationPolicies(policy, options),
    ...envoyFilters(policy, options),
    ...virtualServices(policy, options),
    ...telemetries(policy, options),
  ];
  return first === undefined ? [] : [{ ...first, header: header(policy, options) }, ...others];
}

function header(policy: Policy, options: IstioOptions): readonly string[] {
  const models = policy.models.map(
    ({ name, versions }) => `${name} (${versions.map((version) => version.name).join(", ")})`,
  );
  const { host, port } = options.extproc;
  const { gateway } = options;
  return [
    `Istio 1.28 to 1.31 for policy ${policy.metadata.name}: change the policy and render again, not this file.`,
    `Shows: ${models.join(", ")}; experiments: ${policy.experiments.length}, shadows: ${policy.shadows.length}, limits: ${policy.limits.length}.`,
    `Needs: the Gateway ${gateway.namespace}/${gateway.name}, and weir extproc at ${host}:${port} with the same policy; while it is away, ${whileAway(options)}.`,
    `Run:   kubectl apply -f FILE`,
  ];
}
