import { HEADER } from "../../../schema/headers.js";
import type { Policy } from "../../../schema/policy.js";
import { why, type RenderedDocument, type Tree } from "../rendered-document.js";
import { podNamespaces } from "./hosts.js";
import type { IstioOptions, NamespacedName } from "./options.js";
import { policyName, resource } from "./resource.js";

const METRIC_TAGS = {
  weir_version: HEADER.version,
  weir_arms: HEADER.arms,
  weir_shadow: HEADER.shadow,
};

const TRACE_TAGS = {
  "weir.version": HEADER.version,
  "weir.arms": HEADER.arms,
  "weir.decision": HEADER.decision,
  "weir.shadow": HEADER.shadow,
};

/** Arms and versions beside what Istio counts and traces, on the gateway and on pods. */
export function telemetries(policy: Policy, options: IstioOptions): readonly RenderedDocument[] {
  const tagged = (at: NamespacedName, labels: Readonly<Record<string, string>>) =>
    resource("Telemetry", at, policy, { selector: { matchLabels: labels }, ...tags() });
  const { namespace } = options.gatewayServiceAccount;
  return [
    tagged({ namespace, name: policyName(policy) }, options.gatewaySelector),
    ...policy.models.flatMap((model) =>
      podNamespaces(policy, model).map((own) =>
        tagged({ namespace: own, name: `weir-${model.name}` }, { [options.appLabel]: model.name }),
      ),
    ),
  ];
}

function tags(): { readonly [key: string]: Tree } {
  return {
    metrics: [
      {
        overrides: [
          {
            match: { metric: "REQUEST_COUNT" },
            tagOverrides: why(
              "On istio_requests_total alone: each set of arms is a series of its own.",
              mapped(METRIC_TAGS, (header) => ({
                operation: "UPSERT",
                value: `request.headers['${header}']`,
              })),
            ),
          },
        ],
      },
    ],
    tracing: [{ customTags: mapped(TRACE_TAGS, (name) => ({ header: { name } })) }],
  };
}

function mapped(tags: Readonly<Record<string, string>>, to: (header: string) => Tree): Tree {
  return Object.fromEntries(Object.entries(tags).map(([tag, header]) => [tag, to(header)]));
}
