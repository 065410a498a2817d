import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServiceDefinition,
} from "@grpc/grpc-js";
import type { HeaderView } from "../../../core/routing/facts.js";
import type { AcceptStream, ServerStream, Trailers, Transport } from "../stream.js";
import { within } from "../../within.js";
import { announceGoaway } from "./goaway.js";
import { bindWithHttp2 } from "./http2-server.js";

type Call = ServerDuplexStream<Buffer, Buffer>;

/** Serves by grpc-js, on Node's HTTP/2. */
export async function listenGrpcJs(
  address: string,
  methods: ReadonlyMap<string, AcceptStream>,
): Promise<Transport> {
  // Channelz bookkeeping costs a tenth of the CPU of a stream, and nobody reads it.
  const server = new Server({ "grpc.enable_channelz": 0 });
  for (const [path, accept] of methods) {
    server.addService(ofBytes(path), {
      [path]: (call: Call) => {
        carry(call, accept);
      },
    });
  }
  const { bound, sessions } = await bindWithHttp2(() => bind(server, address));
  let close: () => void = () => undefined;
  const closed = new Promise<void>((resolve) => {
    close = resolve;
  });
  return {
    address: bound,
    closed,
    retire: async (timeoutMs) => {
      await within(timeoutMs, announceGoaway(sessions));
      server.drain(bound, MAX_GRACE_MS);
      server.tryShutdown(() => {
        close();
      });
    },
    destroy: () => {
      // grpc-js without channelz does not know its sessions, so forceShutdown alone would leave them.
      for (const session of sessions.keys()) session.destroy();
      server.forceShutdown();
      close();
    },
  };
}

const bytesAsTheyAre = (bytes: Buffer): Buffer => bytes;

/**
 * Bytes in, bytes out: the method decodes and encodes, because grpc-js ends the stream when its
 * own (de)serializer throws, and then nothing could be answered. On the wire a call of one message
 * is a stream of one.
 */
const ofBytes = (path: string): ServiceDefinition => ({
  [path]: {
    path,
    requestStream: true,
    responseStream: true,
    requestSerialize: bytesAsTheyAre,
    requestDeserialize: bytesAsTheyAre,
    responseSerialize: bytesAsTheyAre,
    responseDeserialize: bytesAsTheyAre,
  },
});

/** `destroy` comes before it. */
const MAX_GRACE_MS = 2 ** 31 - 1;

function bind(server: Server, address: string): Promise<string> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) => {
      if (error === null) resolve(withPort(address, port));
      else reject(error);
    });
  });
}

function withPort(address: string, port: number): string {
  return address.startsWith("unix:") ? address : address.replace(/:\d+$/, `:${port}`);
}

function carry(call: Call, accept: AcceptStream): void {
  const listener = accept(serverStreamOf(call));
  call.on("data", (bytes: Buffer) => {
    listener.message(bytes);
  });
  call.on("end", () => {
    listener.halfClosed();
  });
  call.on("close", () => {
    listener.closed();
  });
}

function serverStreamOf(call: Call): ServerStream {
  return {
    get metadata() {
      return viewOf(call.metadata);
    },
    send: (message) => {
      // grpc-js frames it when it can, which may be later.
      if (call.write(Buffer.from(message))) return;
      call.pause();
      call.once("drain", () => call.resume());
    },
    end: (trailers) => {
      call.end(metadataOf(trailers));
    },
    fail: (code, details, trailers) => {
      call.emit("error", { code, details, metadata: metadataOf(trailers) });
    },
  };
}

const viewOf = (metadata: Metadata): HeaderView => ({
  values: (name) => metadata.get(name).map(String),
  names: () => Object.keys(metadata.getMap()),
});

function metadataOf(trailers: Trailers = new Map()): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of trailers) metadata.set(name, value);
  return metadata;
}
