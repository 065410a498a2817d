import { HEADER, SET_BY_WEIR } from "../../../schema/headers.js";
import { shadowCluster, versionKey } from "../../render/envoy/names.js";
import type { Check, Suspect } from "../check.js";
import type { Mesh } from "../mesh.js";
import {
  child,
  entries,
  everyNode,
  isThere,
  items,
  mentions,
  text,
  texts,
  type Node,
} from "../node.js";
import { coversPath, type Match, type Route, type Routing } from "../routing.js";

/** Takes every request for a path, decided or not. */
const takesAll = (route: Route, { path }: Match) =>
  route.matches.some(
    (match) => match.version === undefined && !match.isConditional && coversPath(match.path, path),
  );

/** Routes to a version, with the match that asks for it. */
function versionRoutes({ routes }: Routing) {
  return routes.flatMap((route, index) =>
    route.matches
      .filter(({ version }) => version !== undefined)
      .map((match) => ({ route, match, index })),
  );
}

const catchAll: Check = {
  id: "no-catch-all",
  severity: "error",
  looksFor: "routes that match on `x-weir-version`, with none after them that takes the rest",
  why: "Requests without a decision get 404: callers in no arm, and everybody while extproc is away.",
  fix: "End the model's routes with one that matches its path alone and leads to the default version.",
  find: ({ routings }) =>
    routings.flatMap((routing) => {
      const open = versionRoutes(routing).filter(
        ({ match }) => !routing.routes.some((route) => takesAll(route, match)),
      );
      const paths = [...new Set(open.map(({ match }) => match.path.value))];
      const [first] = open;
      return first === undefined
        ? []
        : [
            {
              at: first.route.node,
              what: `nothing takes undecided requests for ${paths.join(", ")}`,
            },
          ];
    }),
};

const unreachable: Check = {
  id: "version-unreachable",
  severity: "error",
  looksFor: "a route to a version after one that takes everything",
  why: "The first route that matches is taken, so no decision ever leads to that version.",
  fix: "Put the routes that match on x-weir-version before the one that does not.",
  find: ({ routings }) =>
    routings.flatMap((routing) =>
      versionRoutes(routing).flatMap(({ route, match, index }) => {
        const earlier = routing.routes.slice(0, index).find((one) => takesAll(one, match));
        return earlier === undefined
          ? []
          : [
              {
                at: route.node,
                what: `route ${JSON.stringify(earlier.name)} takes what is meant for ${match.version ?? ""}`,
              },
            ];
      }),
    ),
};

const weights: Check = {
  id: "weights-redrawn",
  severity: "error",
  looksFor: "weights on a route of a model that has versions by decision",
  why: "Envoy draws weights again for every request, so a caller changes versions: whatever is measured is of no version.",
  fix: "Give each version a route of its own, and the shares to an experiment of the policy.",
  find: ({ routings }) =>
    routings.flatMap((routing) => {
      const paths = versionRoutes(routing).map(({ match }) => match.path.value);
      return routing.routes
        .filter(
          ({ weights: drawn, matches }) =>
            drawn.length > 1 && matches.some(({ path }) => paths.includes(path.value)),
        )
        .map(({ node, name, weights: drawn }) => ({
          at: node,
          what: `route ${JSON.stringify(name)} draws among ${drawn.length} destinations`,
        }));
    }),
};

const REMOVALS = new Set(["remove", "request_headers_to_remove", "requestHeadersToRemove"]);

const headersChanged: Check = {
  id: "decision-header-changed",
  severity: "error",
  looksFor: "a route that removes or sets a header of the decision",
  why: "Routes change headers after extproc has set them: pods log no decision, or a wrong one, and exposures are lost.",
  fix: "Leave x-weir-* to extproc, which removes what clients send in the same answer that sets its own.",
  find: ({ routings }) =>
    routings.flatMap(({ node, owner, levels }) =>
      [...("kind" in owner ? [owner.spec] : [node, ...levels.map(ownSettings)])]
        .flatMap((part) => [...everyNode(part)])
        .flatMap((part): readonly Suspect[] => changed(part)),
    ),
};

/** A table or virtual host without its routes, which are looked through by themselves. */
function ownSettings({ value, ...place }: Node): Node {
  const kept = Object.entries(value as Readonly<Record<string, unknown>>).filter(
    ([key]) => !["virtual_hosts", "routes"].includes(key),
  );
  return { ...place, value: Object.fromEntries(kept) };
}

function changed(node: Node): readonly Suspect[] {
  const key = String(node.path.at(-1));
  const isRequest = node.path.at(-2) === "request";
  if (REMOVALS.has(key) && (key !== "remove" || isRequest)) {
    return texts(node)
      .filter((name) => SET_BY_WEIR.has(name.toLowerCase()))
      .map((name) => ({ at: node, what: `removes ${name}` }));
  }
  const names =
    isRequest && (key === "set" || key === "add")
      ? entries(node).map(([name]) => name)
      : key === "request_headers_to_add"
        ? items(node).flatMap((one) => text(child(one, "header", "key")) ?? [])
        : [];
  return names
    .filter((name) => SET_BY_WEIR.has(name.toLowerCase()))
    .map((name) => ({ at: node, what: `sets ${name}` }));
}

const mirrors: Check = {
  id: "mirror-unmarked",
  severity: "warning",
  looksFor: "a mirror that does not mark its copies with `x-weir-shadow: 1`",
  why: "A copy has the headers of the original: pods that do not run with --shadow log it as a prediction, and it is counted twice. A percentage is drawn again for every request.",
  fix: "Declare it under shadows in the policy: the rendered mirror marks copies, and extproc chooses them per unit.",
  find: (mesh) =>
    mirrorPolicies(mesh)
      .filter((mirror) => !mentions(child(mirror, "request_headers_mutations"), HEADER.shadow))
      .map((at) => ({ at, what: "copies cannot be told from requests" })),
};

/** VirtualServices have no way to mark copies. */
function mirrorPolicies({ routings, patches, filters }: Mesh): readonly Node[] {
  const own = new Set(
    filters.flatMap(({ owner }) => (owner.kind === "patch" ? [owner.patch.resource] : [])),
  );
  const searched = [
    ...patches.filter(({ resource }) => own.has(resource)).map(({ value }) => value),
    ...routings.flatMap(({ node, owner, levels }) =>
      "kind" in owner ? [] : [node, ...levels.map(ownSettings)],
    ),
  ];
  return [
    ...routings
      .flatMap(({ owner, routes }) => ("kind" in owner ? routes : []))
      .flatMap(({ node }) => [child(node, "mirror"), ...items(child(node, "mirrors"))])
      .filter(isThere),
    ...searched
      .flatMap((part) => [...everyNode(part)])
      .filter(({ path }) => /^request_?mirror_?policies$/i.test(String(path.at(-2)))),
  ];
}

/** Envoy's `retriable-4xx` is 409 alone. */
const LIMITS = new Set(["429", "resource-exhausted"]);

const retries: Check = {
  id: "limit-retried",
  severity: "warning",
  looksFor: "retries on 429 or `resource-exhausted`",
  why: "A refusal for load or a used-up quota is sent again at once, to the next pod: the mesh multiplies what a limit is there to stop.",
  fix: "Take 429 and resource-exhausted out of retryOn; pods that are busy answer 503, which may be retried.",
  find: ({ routings }) =>
    routings.flatMap(({ routes }) =>
      routes.flatMap(({ retryOn, retriedCodes }) => {
        const words = (text(retryOn) ?? "").split(",").map((word) => word.trim());
        const retried = words.filter((word) => LIMITS.has(word));
        const codes = words.includes("retriable-status-codes")
          ? retriedCodes.filter((code) => text(code) === "429")
          : [];
        return [
          ...retried.map((word) => ({ at: retryOn, what: `retries on ${word}` })),
          ...codes.map((at) => ({ at, what: "retries on 429" })),
        ];
      }),
    ),
};

const unrouted: Check = {
  id: "version-unrouted",
  severity: "error",
  looksFor: "a version of the policy (`-p`) to which no route leads",
  why: "Callers whom extproc assigns to it get the default version, and their exposures never come.",
  fix: "Render the policy again and apply the output.",
  find: ({ routings, expected }) => {
    const routed = new Set(
      routings.flatMap((routing) => versionRoutes(routing).map(({ match }) => match.version)),
    );
    const [routing] = routings;
    if (routing === undefined || expected === undefined) return [];
    return expected.policy.models
      .flatMap(({ name, versions }) => versions.map((version) => versionKey(name, version.name)))
      .filter((key) => !routed.has(key))
      .map((key) => ({ at: routing.node, what: `no route matches ${HEADER.version}: ${key}` }));
  },
};

const shadowClusters: Check = {
  id: "shadow-cluster-missing",
  severity: "error",
  looksFor: "a shadow of the policy (`-p`) whose cluster no proxy has",
  why: "Envoy makes no copy when it does not know the cluster that extproc names, and says nothing.",
  fix: "Render the policy again and apply the output.",
  find: (mesh) => {
    const names = (mesh.expected?.policy.shadows ?? []).map(shadowCluster);
    return mesh.filters.flatMap(({ node, owner }) => {
      const has = (name: string) =>
        owner.kind === "manager"
          ? owner.envoy.clusters.has(name)
          : mesh.patches.some(
              ({ resource, value }) =>
                resource === owner.patch.resource && text(child(value, "name")) === name,
            );
      return names
        .filter((name) => !has(name))
        .map((name) => ({ at: node, what: `there is no cluster ${name}` }));
    });
  },
};

export const routesChecks: readonly Check[] = [
  catchAll,
  unreachable,
  weights,
  headersChanged,
  mirrors,
  retries,
  unrouted,
  shadowClusters,
];
