import { HEADER, WEIR_PREFIX } from "../../../schema/headers.js";
import type { Check, Suspect } from "../check.js";
import { perRoute, type HttpFilter, type Manager } from "../envoy.js";
import type { ExtProcFilter, Mesh, Patch } from "../mesh.js";
import { child, isMessage, isTrue, items, mentions, messages, text, texts } from "../node.js";
import type { Resource } from "../resource.js";
import type { Route, Routing } from "../routing.js";

/** Filters whose settings come from the route that was chosen before extproc was asked. */
const PER_ROUTE = ["HTTPFault", "Cors", "CorsPolicy", "RateLimit", "LocalRateLimit"];
const AUTHENTICATING = ["JwtAuthentication", "RBAC", "ExtAuthz", "BasicAuth", "OAuth2"];

const LATE_ANCHOR = /router|fault|cors|istio\.stats|stateful_session/;
const EARLY_ANCHOR = /authn|authz|rbac|oauth2|basic_auth/;

const missing: Check = {
  id: "ext-proc-missing",
  severity: "error",
  looksFor: "routes that match on `x-weir-version`, on a proxy that does not ask extproc",
  why: "Nobody sets the header, so every caller gets the default version: no experiment, no limit.",
  fix: "Apply the EnvoyFilter that weir render --target istio writes, for the gateway and for each --client-namespace.",
  find: ({ routings, filters }) =>
    routings.flatMap(({ node, owner }) => {
      const without =
        "kind" in owner ? reachWithout(owner, filters) : managerWithout(owner, filters);
      return without === undefined
        ? []
        : [
            {
              at: node,
              what: `routes match on ${HEADER.version}, but ${without} has no ext_proc filter of Weir`,
            },
          ];
    }),
};

/** Proxies that have the routes of a VirtualService, as EnvoyFilters call them. */
function contextsOf({ spec }: Resource): readonly ("GATEWAY" | "SIDECAR_OUTBOUND")[] {
  const gateways = texts(child(spec, "gateways"));
  return [
    ...(gateways.some((name) => name !== "mesh") ? (["GATEWAY"] as const) : []),
    ...(gateways.length === 0 || gateways.includes("mesh") ? (["SIDECAR_OUTBOUND"] as const) : []),
  ];
}

const applies = ({ context }: Patch, wanted: string) => context === wanted || context === "ANY";

function reachWithout(routes: Resource, filters: readonly ExtProcFilter[]): string | undefined {
  const patches = filters.flatMap(({ owner }) => (owner.kind === "patch" ? [owner.patch] : []));
  const without = contextsOf(routes).flatMap((context) => {
    const own = patches.filter((patch) => applies(patch, context));
    if (context === "GATEWAY") return own.length > 0 ? [] : ["the gateway"];
    const clients = texts(child(routes.spec, "exportTo")).filter((name) =>
      /^[a-z0-9-]+$/.test(name),
    );
    const lacking = clients.filter(
      (namespace) => !own.some(({ resource }) => resource.namespace === namespace),
    );
    if (clients.length === 0) return own.length > 0 ? [] : ["every sidecar"];
    return lacking.map((namespace) => `every sidecar of ${namespace}`);
  });
  return without[0];
}

function managerWithout(manager: Manager, filters: readonly ExtProcFilter[]): string | undefined {
  const has = filters.some(({ owner }) => owner.kind === "manager" && owner.manager === manager);
  return has ? undefined : "this connection manager";
}

const late: Check = {
  id: "ext-proc-late",
  severity: "error",
  looksFor: "`cors`, `fault` or a rate limit with per-route settings before ext_proc",
  why: "Envoy gives those filters the settings of the route that was chosen before the decision, and does not ask again.",
  fix: "Insert ext_proc before envoy.filters.http.grpc_stats, which comes after authorisation and before them.",
  find: (mesh) =>
    mesh.filters.flatMap(({ node, owner }): readonly Suspect[] => {
      if (owner.kind === "patch") {
        return goesLate(owner.patch)
          ? [
              {
                at: node,
                what: `goes ${placeOf(owner.patch)}, after filters with per-route settings`,
              },
            ]
          : [];
      }
      return before(owner.manager, node)
        .filter((filter) => takesRouteSettings(filter, owner.manager, mesh.routings))
        .map(({ name }) => ({ at: node, what: `comes after ${name}` }));
    }),
};

function goesLate({ operation, subFilter = "" }: Patch): boolean {
  if (operation === "ADD") return true;
  if (operation === "INSERT_AFTER") return LATE_ANCHOR.test(subFilter);
  return (
    operation === "INSERT_BEFORE" && /router|cors|istio\.stats|stateful_session/.test(subFilter)
  );
}

const placeOf = ({ operation, subFilter }: Patch) =>
  subFilter === undefined ? operation : `${operation} ${subFilter}`;

function before({ filters }: Manager, node: ExtProcFilter["node"]): readonly HttpFilter[] {
  return filters.slice(
    0,
    filters.findIndex((filter) => filter.node === node),
  );
}

function takesRouteSettings(
  { name, settings }: HttpFilter,
  manager: Manager,
  routings: readonly Routing[],
): boolean {
  if (!PER_ROUTE.some((type) => isMessage(settings, type))) return false;
  if (!isMessage(settings, "LocalRateLimit")) return true;
  return routings.some(
    ({ owner, levels, routes }) =>
      owner === manager && routes.some(({ node }) => perRoute(name, [node, ...levels])),
  );
}

const unauthenticated: Check = {
  id: "ext-proc-unauthenticated",
  severity: "warning",
  looksFor: "ext_proc before filters that authenticate or authorise",
  why: "Callers who would be refused are drawn into experiments, logged, and charged to somebody's limit.",
  fix: "Insert ext_proc before envoy.filters.http.grpc_stats, which comes after authorisation.",
  find: ({ filters }) =>
    filters.flatMap(({ node, owner }): readonly Suspect[] => {
      if (owner.kind === "patch") {
        const { operation, subFilter = "" } = owner.patch;
        const isFirst =
          operation === "INSERT_FIRST" ||
          (operation === "INSERT_BEFORE" && (subFilter === "" || EARLY_ANCHOR.test(subFilter)));
        return isFirst
          ? [{ at: node, what: `goes ${placeOf(owner.patch)}, before authentication` }]
          : [];
      }
      const { filters: chain } = owner.manager;
      return chain
        .slice(chain.findIndex((filter) => filter.node === node))
        .filter(
          ({ name, settings }) =>
            AUTHENTICATING.some((type) => isMessage(settings, type)) || /istio_authn/.test(name),
        )
        .map(({ name }) => ({ at: node, what: `comes before ${name}` }));
    }),
};

const inbound: Check = {
  id: "ext-proc-inbound",
  severity: "error",
  looksFor: "ext_proc on the inbound side of sidecars",
  why: "There is one route, so a decision cannot choose a version; and copies of requests pass it too, and are charged and logged.",
  fix: "Match context GATEWAY, or SIDECAR_OUTBOUND for callers inside the mesh.",
  find: ({ filters }) =>
    filters.flatMap(({ node, owner }): readonly Suspect[] => {
      const isInbound =
        owner.kind === "patch"
          ? ["SIDECAR_INBOUND", "ANY"].includes(owner.patch.context)
          : owner.manager.isInbound;
      return isInbound ? [{ at: node, what: "decides about requests that arrive at a pod" }] : [];
    }),
};

const off: Check = {
  id: "ext-proc-off",
  severity: "error",
  looksFor: "routes of a model on which ext_proc is switched off, or not switched on",
  why: "Whether the filter runs is settled by the first route, before any decision: such a request is never decided.",
  fix: "Switch ext_proc on in typed_per_filter_config of every route of the model, the default one included.",
  find: (mesh) => mesh.routings.flatMap((routing) => offIn(routing, mesh)),
};

function offIn(routing: Routing, { filters, patches }: Mesh): readonly Suspect[] {
  const { owner, levels, routes } = routing;
  const models = routes.filter((route) => takesModel(route, routing));
  return filters.flatMap((filter) => {
    const isOff =
      "kind" in owner ? offByPatch(filter, owner, patches) : offByRoute(filter, owner, levels);
    return models.filter(isOff).map(({ node, name }) => ({
      at: node,
      what: `${filter.name} is off on route ${JSON.stringify(name)}`,
    }));
  });
}

function offByRoute(
  { name, isDisabled, owner }: ExtProcFilter,
  manager: Manager,
  levels: Routing["levels"],
) {
  const isHere = owner.kind === "manager" && owner.manager === manager;
  return ({ node }: Route) => {
    const own = perRoute(name, [node, ...levels]);
    return isHere && (own === undefined ? isDisabled : isTrue(child(own, "disabled")));
  };
}

/** Routes are switched on by the EnvoyFilter that adds the filter: it knows them by their names. */
function offByPatch(
  { name, isDisabled, owner }: ExtProcFilter,
  routes: Resource,
  patches: readonly Patch[],
) {
  const isHere =
    isDisabled &&
    owner.kind === "patch" &&
    contextsOf(routes).some((context) => applies(owner.patch, context));
  return (route: Route) =>
    isHere &&
    !patches.some(
      ({ resource, routeName, value }) =>
        resource === owner.patch.resource &&
        routeName === route.name &&
        perRoute(name, [value]) !== undefined,
    );
}

/** Whether a route takes requests, and paths for which there are versions. */
function takesModel({ matches, destinations }: Route, { routes }: Routing): boolean {
  const paths = routes.flatMap((route) =>
    route.matches.flatMap(({ path, version }) => (version === undefined ? [] : [path.value])),
  );
  return (
    destinations.length > 0 &&
    matches.some(({ path, isConditional }) => !isConditional && paths.includes(path.value))
  );
}

const forgeable: Check = {
  id: "client-headers-kept",
  severity: "error",
  looksFor: "a proxy that asks extproc and does not remove `x-weir-*` of clients before routing",
  why: "Envoy chooses a route before any filter runs, and keeps it when extproc is away: whoever sends x-weir-version chooses a version.",
  fix: "Remove the prefix x-weir- in early_header_mutation_extensions of the connection manager.",
  find: ({ filters, patches }) =>
    filters.flatMap(({ node, owner }): readonly Suspect[] => {
      const searched =
        owner.kind === "manager"
          ? [owner.manager.node, ...(owner.manager.routes ? [owner.manager.routes] : [])]
          : patches
              .filter(({ resource }) => resource === owner.patch.resource)
              .map(({ value }) => value);
      const removes = searched.some((value) =>
        messages(value, "HeaderMutation").some((mutation) =>
          items(child(mutation, "mutations")).some(
            (one) => text(child(one, "remove_on_match", "key_matcher", "prefix")) === WEIR_PREFIX,
          ),
        ),
      );
      const isInternal = searched.some(
        (value) => mentions(value, "internal_only_headers") && mentions(value, HEADER.version),
      );
      return removes || isInternal
        ? []
        : [{ at: node, what: `what clients send as ${WEIR_PREFIX}* reaches the routes` }];
    }),
};

export const chainChecks: readonly Check[] = [
  missing,
  late,
  unauthenticated,
  inbound,
  off,
  forgeable,
];
