import { createServer, type ListenOptions, type Server } from "node:net";
import { once } from "node:events";
import { parseHostPort } from "../../../core/host-port.js";
import type { Transport } from "../side-stream.js";
import { unixPathOf } from "../unix-socket.js";
import { within } from "../within.js";
import { Http2Connection, type Methods } from "./connection.js";

/** Serves gRPC on sockets, without TLS: HTTP/2 with prior knowledge (RFC 9113, 3.3). */
export async function listenHttp2(address: string, methods: Methods): Promise<Transport> {
  const connections = new Set<Http2Connection>();
  const server = createServer({ noDelay: true, keepAlive: true }, (socket) => {
    const connection = new Http2Connection(socket, methods);
    connections.add(connection);
    socket.once("close", () => connections.delete(connection));
  });
  const closed = once(server, "close").then(() => undefined);
  server.listen(listenOptionsOf(address));
  await once(server, "listening");
  return {
    address: boundAddress(address, server),
    closed,
    retire: async (timeoutMs) => {
      const heard = [...connections].map((connection) => connection.retire());
      await within(timeoutMs, Promise.all(heard));
      server.close();
      for (const connection of connections) connection.finish();
    },
    destroy: () => {
      server.close();
      for (const connection of connections) connection.destroy();
    },
  };
}

function listenOptionsOf(address: string): ListenOptions {
  const path = unixPathOf(address);
  return path === undefined ? parseHostPort("gRPC address", address) : { path };
}

function boundAddress(address: string, server: Server): string {
  const bound = server.address();
  return bound === null || typeof bound === "string"
    ? address
    : address.replace(/:\d+$/, `:${bound.port}`);
}
