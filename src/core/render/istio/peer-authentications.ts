import type { Policy } from "../../../schema/policy.js";
import { why, type RenderedDocument } from "../rendered-document.js";
import { extprocService, podNamespaces } from "./hosts.js";
import type { IstioOptions, NamespacedName } from "./options.js";
import { resource } from "./resource.js";

/** Strict mTLS for extproc and for pods: who calls is known, or the connection ends. */
export function peerAuthentications(
  policy: Policy,
  options: IstioOptions,
): readonly RenderedDocument[] {
  const extproc = extprocService(options);
  const strict = (at: NamespacedName, app: string) =>
    resource("PeerAuthentication", at, policy, {
      selector: { matchLabels: { [options.appLabel]: app } },
      mtls: { mode: why("The AuthorizationPolicies rest on proven identities.", "STRICT") },
    });
  return [
    strict(extproc, extproc.name),
    ...policy.models.flatMap((model) =>
      podNamespaces(policy, model).map((namespace) =>
        strict({ namespace, name: `weir-${model.name}` }, model.name),
      ),
    ),
  ];
}
