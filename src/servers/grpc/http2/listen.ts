import { lookup } from "node:dns/promises";
import { once } from "node:events";
import { createServer, type ListenOptions, type Server } from "node:net";
import { parseHostPort } from "../../../core/host-port.js";
import type { Transport } from "../stream.js";
import { unixPathOf } from "../unix-socket.js";
import { within } from "../../within.js";
import { Http2Connection } from "./connection.js";
import type { Service } from "./service.js";

/** Serves gRPC on sockets, without TLS: HTTP/2 with prior knowledge (RFC 9113, 3.3). */
export async function listenHttp2(address: string, service: Service): Promise<Transport> {
  const connections = new Set<Http2Connection>();
  const together = { streams: 0 };
  const serverOf = () =>
    createServer({ noDelay: true, keepAlive: true }, (socket) => {
      const connection = new Http2Connection(socket, service, together);
      connections.add(connection);
      socket.once("close", () => connections.delete(connection));
    });
  const path = unixPathOf(address);
  const servers =
    path === undefined
      ? await listenOnEach(serverOf, parseHostPort("gRPC address", address))
      : [await listening(serverOf(), { path })];
  const closed = Promise.all(servers.map((server) => once(server, "close"))).then(() => undefined);
  const stopAccepting = () => {
    for (const server of servers) server.close();
  };
  return {
    address: boundAddress(address, servers),
    closed,
    retire: async (timeoutMs) => {
      const heard = [...connections].map((connection) => connection.retire());
      await within(timeoutMs, Promise.all(heard));
      stopAccepting();
      for (const connection of connections) connection.finish();
    },
    destroy: () => {
      stopAccepting();
      for (const connection of connections) connection.destroy();
    },
  };
}

/** A name such as localhost may have an address in each family, and peers try either. */
async function listenOnEach(
  serverOf: () => Server,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<readonly Server[]> {
  const servers: Server[] = [];
  const failures: unknown[] = [];
  let boundPort = port;
  for (const { address } of await lookup(host, { all: true })) {
    try {
      const server = await listening(serverOf(), { host: address, port: boundPort });
      servers.push(server);
      boundPort = portOf(server) ?? boundPort;
    } catch (error) {
      // The name may have an address of a family that this machine has not.
      if (!isNotOfThisMachine(error)) {
        for (const server of servers) server.close();
        throw error;
      }
      failures.push(error);
    }
  }
  if (servers.length === 0) throw failures[0];
  return servers;
}

const isNotOfThisMachine = (error: unknown) =>
  error instanceof Error &&
  "code" in error &&
  (error.code === "EADDRNOTAVAIL" || error.code === "EAFNOSUPPORT");

async function listening(server: Server, where: ListenOptions): Promise<Server> {
  server.listen(where);
  await once(server, "listening");
  return server;
}

function portOf(server: Server): number | undefined {
  const bound = server.address();
  return bound === null || typeof bound === "string" ? undefined : bound.port;
}

function boundAddress(address: string, [server]: readonly Server[]): string {
  const port = server === undefined ? undefined : portOf(server);
  return port === undefined ? address : address.replace(/:\d+$/, `:${port}`);
}
