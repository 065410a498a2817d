import { Server, ServerCredentials } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { ReflectionService } from "@grpc/reflection";
import { protoPath as healthProto } from "grpc-health-check";
import { ServiceError } from "../../core/error.js";
import { parseHostPort } from "../../core/host-port.js";
import { announceGoaway } from "../grpc-js/goaway.js";
import { within } from "../within.js";
import { bindWithHttp2 } from "../grpc-js/http2-server.js";
import type { BoundHttp2 } from "../grpc-js/http2-server.js";
import { addHealth } from "./health.js";
import { modelInfer, modelStreamInfer } from "./infer-methods.js";
import type { InferMethodParts } from "./infer-methods.js";
import { modelMethods, repositoryMethods } from "./model-methods.js";
import type { ModelMethodParts } from "./model-methods.js";
import { OpenStreams } from "./open-streams.js";
import { inferenceDefinition, inferenceService } from "./protocol.js";

export type InferenceGrpcOptions = ModelMethodParts &
  Omit<InferMethodParts, "streams"> & {
    /** `HOST:PORT`; port 0 picks a free one. */
    readonly address: string;
    /** Of one message, uncompressed. */
    readonly maxBodyBytes: number;
  };

export type InferenceGrpcServer = { readonly address: string; close(): Promise<void> };

/** Of one connection; Envoy opens another when it has more. */
const MAX_CONCURRENT_STREAMS = 1024;
/** A peer that is gone without a word is noticed, and its requests leave the queue. */
const KEEPALIVE_MS = 60_000;
const KEEPALIVE_TIMEOUT_MS = 20_000;
/** A peer that does not answer a ping in this time is not waited for. */
const GOAWAY_TIMEOUT_MS = 1000;
/** For calls that are open when the server closes. */
const FINISH_MS = 20_000;

/** The Open Inference Protocol over gRPC, with health and reflection. */
export async function serveInferenceGrpc(
  options: InferenceGrpcOptions,
): Promise<InferenceGrpcServer> {
  const { host } = parseHostPort("gRPC address", options.address);
  const server = new Server({
    // Its bookkeeping costs a tenth of the CPU of a call, and nobody reads it.
    "grpc.enable_channelz": 0,
    "grpc.max_receive_message_length": options.maxBodyBytes,
    "grpc.max_concurrent_streams": MAX_CONCURRENT_STREAMS,
    "grpc.keepalive_time_ms": KEEPALIVE_MS,
    "grpc.keepalive_timeout_ms": KEEPALIVE_TIMEOUT_MS,
  });
  const streams = new OpenStreams();
  server.addService(inferenceService(), {
    ...modelMethods(options),
    ...repositoryMethods(options),
    ModelInfer: modelInfer({ ...options, streams }),
    ModelStreamInfer: modelStreamInfer({ ...options, streams }),
  });
  addHealth(server, options.models, streams);
  const reflected = { ...inferenceDefinition, ...loadSync(healthProto, { keepCase: true }) };
  new ReflectionService(reflected).addToServer(server);
  const listening = await bindWithHttp2(() => bind(server, options.address));
  const address = `${host.includes(":") ? `[${host}]` : host}:${listening.bound}`;
  return { address, close: () => close(server, address, listening, streams) };
}

function bind(server: Server, address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const failed = (cause: unknown) => {
      const because = cause instanceof Error ? cause.message : String(cause);
      const message = `cannot listen on gRPC address ${address}: ${because}`;
      reject(new ServiceError("dependencyDown", message, { cause }));
    };
    try {
      server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) => {
        if (error === null) resolve(port);
        else failed(error);
      });
    } catch (error) {
      failed(error);
    }
  });
}

/** Sends peers elsewhere, and ends when the calls that are open have their answers. */
async function close(
  server: Server,
  address: string,
  { sessions }: BoundHttp2<number>,
  streams: OpenStreams,
): Promise<void> {
  await within(GOAWAY_TIMEOUT_MS, announceGoaway(sessions));
  server.drain(address, FINISH_MS);
  const closed = new Promise<void>((resolve) => {
    server.tryShutdown(() => {
      resolve();
    });
  });
  streams.finish();
  await within(FINISH_MS, closed);
  // grpc-js without channelz does not know its sessions, so forceShutdown alone would leave them.
  for (const session of sessions.keys()) session.destroy();
  server.forceShutdown();
  await closed;
}
