import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Logger } from "pino";
import type { Registry } from "prom-client";
import { ServiceError } from "../../core/error.js";
import { parseHostPort } from "../../core/host-port.js";
import { respond } from "./respond.js";
import type { AdminRoute } from "./route.js";

/** How long close() waits for answers under way. */
const CLOSE_DEADLINE_MS = 1000;
const REQUEST_TIMEOUT_MS = 10_000;

export type AdminOptions = {
  /** `HOST:PORT`; port 0 picks a free one. Nobody is authenticated: use loopback or the pod's network. */
  readonly address: string;
  readonly registry: Registry;
  readonly ready: () => {
    readonly ready: boolean;
    readonly detail: Readonly<Record<string, unknown>>;
  };
  readonly routes?: readonly AdminRoute[];
  readonly logger: Logger;
};

export type AdminServer = {
  /** As bound, with the real port. */
  readonly address: string;
  close(): Promise<void>;
};

/** What probes, Prometheus and operators ask a process: /livez, /readyz, /metrics and its routes. */
export async function serveAdmin(options: AdminOptions): Promise<AdminServer> {
  const routes = [...standardRoutes(options), ...(options.routes ?? [])];
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    // A connection whose answer was under way when the server closed would be kept alive.
    response.once("close", () => {
      if (!server.listening) server.closeIdleConnections();
    });
    void respond(routes, options.logger, request, response);
  });
  await listen(server, options.address);
  return { address: boundAddress(server), close: () => close(server) };
}

function standardRoutes({ registry, ready }: AdminOptions): readonly AdminRoute[] {
  return [
    { method: "GET", path: "/livez", answer: () => ({ status: 200, body: { live: true } }) },
    {
      method: "GET",
      path: "/readyz",
      answer: () => {
        const state = ready();
        return { status: state.ready ? 200 : 503, body: { ...state.detail, ready: state.ready } };
      },
    },
    {
      method: "GET",
      path: "/metrics",
      answer: async () => ({
        status: 200,
        body: await registry.metrics(),
        contentType: registry.contentType,
      }),
    },
  ];
}

async function listen(server: Server, address: string): Promise<void> {
  const { host, port } = parseHostPort("admin address", address);
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => {
      const message = `cannot listen on admin address ${address}: ${cause.message}`;
      reject(new ServiceError("dependencyDown", message, { cause }));
    });
    server.listen(port, host, resolve);
  });
}

function boundAddress(server: Server): string {
  const { address, family, port } = server.address() as AddressInfo;
  return family === "IPv6" ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Answers under way are finished; connections that are kept alive for nothing are cut. */
function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const deadline = setTimeout(() => {
      server.closeAllConnections();
    }, CLOSE_DEADLINE_MS);
    server.close(() => {
      clearTimeout(deadline);
      resolve();
    });
    server.closeIdleConnections();
  });
}
