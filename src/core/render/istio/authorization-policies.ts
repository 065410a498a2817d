import { SET_BY_WEIR } from "../../../schema/headers.js";
import type { Model } from "../../../schema/model.js";
import type { Policy } from "../../../schema/policy.js";
import { why, type RenderedDocument, type Tree } from "../rendered-document.js";
import { gatewayPrincipal, extprocService, podNamespaces } from "./hosts.js";
import type { IstioOptions } from "./options.js";
import { resource } from "./resource.js";

const PROCESS = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";

/** Who may ask extproc, and whose decisions pods believe. */
export function authorizationPolicies(
  policy: Policy,
  options: IstioOptions,
): readonly RenderedDocument[] {
  return [
    extprocCallers(policy, options),
    ...policy.models.flatMap((model) =>
      podNamespaces(policy, model).map((namespace) =>
        believedHeaders(namespace, model, policy, options),
      ),
    ),
  ];
}

function extprocCallers(policy: Policy, options: IstioOptions): RenderedDocument {
  const at = extprocService(options);
  return resource("AuthorizationPolicy", at, policy, {
    selector: { matchLabels: { [options.appLabel]: at.name } },
    action: "ALLOW",
    rules: [
      {
        from: [
          { source: { principals: [gatewayPrincipal(options)] } },
          ...clients(options).map((namespaces) => ({ source: { namespaces } })),
        ],
        to: [
          {
            operation: {
              paths: why("A decision tells who is in which arm: nobody else may ask.", [PROCESS]),
            },
          },
        ],
      },
    ],
  });
}

function believedHeaders(
  namespace: string,
  model: Model,
  policy: Policy,
  options: IstioOptions,
): RenderedDocument {
  const [notNamespaces] = clients(options);
  const source: Tree = { notPrincipals: [gatewayPrincipal(options)], notNamespaces };
  return resource("AuthorizationPolicy", { namespace, name: `weir-${model.name}` }, policy, {
    selector: { matchLabels: { [options.appLabel]: model.name } },
    action: "DENY",
    rules: [...SET_BY_WEIR].sort().map((header) => ({
      from: [{ source }],
      when: [
        why("Only a proxy that asked extproc may say what was decided.", {
          key: `request.headers[${header}]`,
          values: ["*"],
        }),
      ],
    })),
  });
}

/** The namespaces of clients as one item, or none when there are none. */
function clients({ clientNamespaces }: IstioOptions): readonly (readonly string[])[] {
  return clientNamespaces.length === 0 ? [] : [[...clientNamespaces].sort()];
}
