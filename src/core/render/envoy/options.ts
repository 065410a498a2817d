import type { HostPort } from "../../host-port.js";

/** Where an external processor listens. */
export type ExtProcEndpoint =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

export type EnvoyOptions = {
  /** Where clients connect; port 0 picks a free one. */
  readonly listener: HostPort;
  /** Envoy's admin interface: anyone who reaches it may stop Envoy, so keep it on loopback. */
  readonly admin: HostPort;
  readonly extproc: readonly ExtProcEndpoint[];
  /** Lower-case names of all request headers the policy reads; no other header leaves for extproc. */
  readonly headersRead: readonly string[];
  /** File that gets one JSON line per request; absent: standard output. */
  readonly accessLogFile?: string;
  /** What happens to requests when extproc fails: they go on, or get 503. */
  readonly failureMode: "open" | "closed";
  /** Lua that decides instead of extproc when that fails (render/fallback); absent: default versions. */
  readonly fallback?: string | undefined;
  /** How long a request may wait for its decision. */
  readonly messageTimeoutMs: number;
  /** End side streams without a reset: for Envoy 1.39.3 and newer, older ones crash with it. */
  readonly gracefulClose: boolean;
  /** Where requests go that belong to no model; absent: 404. */
  readonly passthrough?: HostPort;
  /** Requests per second that one Envoy lets pass when nothing else limits them; null: no net. */
  readonly maxRequestsPerSecond: number | null;
  readonly maxDownstreamConnections: number;
};

export const ENVOY_DEFAULTS = {
  listener: { host: "127.0.0.1", port: 10_000 },
  admin: { host: "127.0.0.1", port: 9901 },
  extproc: [{ kind: "tcp", host: "127.0.0.1", port: 9002 }],
  headersRead: [],
  failureMode: "open",
  messageTimeoutMs: 50,
  gracefulClose: false,
  maxRequestsPerSecond: 20_000,
  maxDownstreamConnections: 50_000,
} as const satisfies EnvoyOptions;
