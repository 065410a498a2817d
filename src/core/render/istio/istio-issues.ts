import type { Model } from "../../../schema/model.js";
import type { PolicyIssue } from "../../../schema/policy-issue.js";
import type { Policy } from "../../../schema/policy.js";
import { meshHost, sharesAddress, subsetName } from "./hosts.js";
import type { IstioOptions } from "./options.js";

/** What a policy may say and Istio cannot do; none: it can be rendered. */
export function istioIssues(policy: Policy, options: IstioOptions): readonly PolicyIssue[] {
  return [
    ...nameIssues(["metadata", "name"], policy.metadata.name),
    ...policy.models.flatMap((model, index) => nameIssues(["models", index, "name"], model.name)),
    ...policy.models.flatMap((model, index) =>
      modelIssues(model, options).map(({ path, message }) => ({
        path: ["models", index, ...path],
        message,
      })),
    ),
    ...policy.shadows.flatMap(({ name, address }, index) => [
      ...hostIssues(["shadows", index, "address", "host"], address?.host),
      ...(name.length > MAX_LABEL - "shadow-".length || name.endsWith("-")
        ? [
            {
              path: ["shadows", index, "name"],
              message: `shadow ${name} becomes part of the name of a subset: end it with a letter or digit, at most 56 characters`,
            },
          ]
        : []),
    ]),
  ];
}

const MAX_LABEL = 63;

function nameIssues(path: PolicyIssue["path"], name: string): readonly PolicyIssue[] {
  return name.endsWith("-")
    ? [
        {
          path,
          message: `${name} becomes the name of resources and a label: end it with a letter or digit`,
        },
      ]
    : [];
}

function modelIssues(model: Model, options: IstioOptions): readonly PolicyIssue[] {
  return [
    ...model.versions.flatMap(({ address }, index) =>
      hostIssues(["versions", index, "address", "host"], address.host),
    ),
    ...subsetIssues(model),
    ...retryIssues(model),
    ...meshIssues(model, options),
  ];
}

/** A name without a dot would mean a Service in whatever namespace reads it. */
function hostIssues(path: PolicyIssue["path"], host: string | undefined): readonly PolicyIssue[] {
  if (host === undefined || meshHost(host).kind !== "dns") return [];
  if (host.includes(".") && !host.endsWith(".svc") && host === host.toLowerCase()) return [];
  return [
    {
      path,
      message: `Istio cannot tell what ${JSON.stringify(host)} is: write NAME.NAMESPACE.svc.cluster.local for a Service, or a lower-case DNS name with a dot, or an IP address`,
    },
  ];
}

function subsetIssues(model: Model): readonly PolicyIssue[] {
  const shared = model.versions.filter((version) => sharesAddress(model, version));
  return model.versions.flatMap((version, index) => {
    if (!shared.includes(version)) return [];
    const subset = subsetName(version.name);
    const path = ["versions", index, "name"];
    if (subset.endsWith("-")) {
      return [
        {
          path,
          message: `version ${version.name} shares its address, so its pods are found by the label version=${version.name}: end the name with a letter or digit`,
        },
      ];
    }
    const twin = shared.find(
      (other) => other.name !== version.name && subsetName(other.name) === subset,
    );
    return twin === undefined
      ? []
      : [
          {
            path,
            message: `versions ${version.name} and ${twin.name} share an address and would both be the subset ${subset}: rename one, or give it a Service of its own`,
          },
        ];
  });
}

/** Istio takes the status codes that HTTP has a name for. */
const NAMED_5XX = new Set([500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511].map(String));

function retryIssues({ retries }: Model): readonly PolicyIssue[] {
  return retries.on.flatMap((on, index) =>
    /^\d+$/.test(on) && !NAMED_5XX.has(on)
      ? [
          {
            path: ["retries", "on", index],
            message: `Istio does not retry on ${on}, which is no registered status code: leave it out, or use 5xx`,
          },
        ]
      : [],
  );
}

function meshIssues(model: Model, { clientNamespaces }: IstioOptions): readonly PolicyIssue[] {
  if (clientNamespaces.length === 0 || model.match.hosts.some((host) => host !== "*")) return [];
  return [
    {
      path: ["match", "hosts"],
      message: `sidecars of ${clientNamespaces.join(", ")} cannot route to model ${model.name} by the host "*": name the host that they call, such as ${model.name}.models.svc.cluster.local`,
    },
  ];
}
