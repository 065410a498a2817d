import { HEADER } from "../../../schema/headers.js";
import type { Model, ModelVersion } from "../../../schema/model.js";
import type { Policy } from "../../../schema/policy.js";
import { invariant } from "../../invariant.js";
import { versionKey } from "../envoy/names.js";
import { seconds } from "../envoy/protobuf.js";
import { modelsOf } from "../envoy/routes.js";
import { why, type RenderedDocument, type Tree } from "../rendered-document.js";
import { extprocService, meshHost, versionDestination } from "./hosts.js";
import type { IstioOptions } from "./options.js";
import { policyName, resource } from "./resource.js";

/** Names of a model's routes; EnvoyFilters find the routes by them. */
export function routeNames(model: Model): readonly string[] {
  return [...model.versions.map(({ name }) => versionRoute(model, name)), defaultRoute(model)];
}

const versionRoute = (model: Model, version: string) => `weir/${versionKey(model.name, version)}`;
const defaultRoute = (model: Model) => `weir/${model.name}/default`;

type Fields = { readonly [key: string]: Tree };

/** One per host pattern, because a proxy tries the routes of the closest pattern only. */
export function virtualServices(
  policy: Policy,
  options: IstioOptions,
): readonly RenderedDocument[] {
  const { namespace: gatewayNamespace, name: gatewayName } = options.gateway;
  const hosts = [...new Set(policy.models.flatMap(({ match }) => match.hosts))].sort();
  return [
    ...hosts.map((host) =>
      virtualService(host, "", policy, options, {
        reach: { gateways: [`${gatewayNamespace}/${gatewayName}`] },
        otherPaths: [],
      }),
    ),
    ...(options.clientNamespaces.length === 0 ? [] : hosts.filter((host) => host !== "*")).map(
      (host) =>
        virtualService(host, "-mesh", policy, options, {
          reach: {
            gateways: ["mesh"],
            exportTo: why("Only their sidecars ask extproc.", [...options.clientNamespaces].sort()),
          },
          otherPaths: otherPaths(host),
        }),
    ),
  ];
}

function virtualService(
  host: string,
  suffix: string,
  policy: Policy,
  options: IstioOptions,
  { reach, otherPaths }: { readonly reach: Fields; readonly otherPaths: readonly Tree[] },
): RenderedDocument {
  const at = extprocService(options);
  const name = `${policyName(policy)}${hostSuffix(host)}${suffix}`;
  return resource("VirtualService", { namespace: at.namespace, name }, policy, {
    hosts: [host],
    ...reach,
    http: [
      ...modelsOf(host, policy.models).flatMap((model) => modelRoutes(model, policy)),
      ...otherPaths,
    ],
  });
}

/** A VirtualService takes the whole host: what is no model's path goes where it went before. */
function otherPaths(host: string): readonly Tree[] {
  return meshHost(host).kind === "service"
    ? [{ name: "weir/other-paths", route: [{ destination: { host } }] }]
    : [];
}

function hostSuffix(host: string): string {
  return host === "*" ? "" : `.${host.replace(/^\*/, "any")}`;
}

function modelRoutes(model: Model, policy: Policy): readonly Tree[] {
  return [
    ...model.versions.map((version) => ({
      name: versionRoute(model, version.name),
      match: pathMatches(model).map((uri) => ({
        uri,
        headers: { [HEADER.version]: { exact: versionKey(model.name, version.name) } },
      })),
      ...action(model, version, policy),
    })),
    {
      name: why("After the versions: requests without a decision land here.", defaultRoute(model)),
      match: pathMatches(model).map((uri) => ({ uri })),
      ...action(model, defaultVersion(model), policy),
    },
  ];
}

function defaultVersion(model: Model): ModelVersion {
  const version = model.versions.find(({ name }) => name === model.default);
  invariant(version !== undefined, `model ${model.name} has no version ${model.default}`);
  return version;
}

/** Whole path segments, which a prefix alone would not be. */
function pathMatches({
  match: { pathPrefix },
}: Model): readonly { readonly [key: string]: Tree }[] {
  return pathPrefix.endsWith("/")
    ? [{ prefix: pathPrefix }]
    : [{ exact: pathPrefix }, { prefix: `${pathPrefix}/` }];
}

function action(
  model: Model,
  version: ModelVersion,
  policy: Policy,
): { readonly [key: string]: Tree | undefined } {
  const { at, port, subset } = versionDestination(model, version);
  return {
    route: [{ destination: { host: at.host, port: { number: port }, subset } }],
    rewrite:
      at.kind === "dns"
        ? why("A server outside the mesh knows only its own name.", { authority: at.host })
        : undefined,
    timeout: seconds(model.timeout),
    retries: retries(model.retries),
    headers: policy.overrides && withoutOverride(policy.overrides),
  };
}

function retries({ attempts, perTryTimeout, on }: Model["retries"]): Tree {
  if (attempts === 0) return why("Without it Istio retries twice.", { attempts });
  return {
    attempts,
    perTryTimeout: perTryTimeout === undefined ? undefined : seconds(perTryTimeout),
    retryOn: on.join(","),
  };
}

function withoutOverride({ header }: NonNullable<Policy["overrides"]>): Tree {
  return why("extproc removes them too; while it is away, a token must not reach pods.", {
    request: { remove: [header, HEADER.overrideToken] },
  });
}
