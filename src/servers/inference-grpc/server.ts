import { loadSync } from "@grpc/proto-loader";
import { ReflectionService } from "@grpc/reflection";
import { protoPath as healthProto } from "grpc-health-check";
import { ServiceError } from "../../core/error.js";
import { listenHttp2 } from "../grpc/http2/listen.js";
import type { AcceptTimed } from "../grpc/http2/service.js";
import { methodsOf } from "../grpc/methods-of.js";
import type { Transport } from "../grpc/stream.js";
import { within } from "../within.js";
import { healthMethods } from "./health.js";
import { modelInfer, modelStreamInfer } from "./infer-methods.js";
import type { InferMethodParts } from "./infer-methods.js";
import { modelMethods, repositoryMethods } from "./model-methods.js";
import type { ModelMethodParts } from "./model-methods.js";
import { OpenStreams } from "./open-streams.js";
import { inferenceDefinition, methodPath } from "./protocol.js";

export type InferenceGrpcOptions = ModelMethodParts &
  Omit<InferMethodParts, "streams"> & {
    /** `HOST:PORT`; port 0 picks a free one. */
    readonly address: string;
    /** Of one message, uncompressed. */
    readonly maxBodyBytes: number;
    /** How long one may take to arrive whole. */
    readonly requestTimeoutMs: number;
  };

export type InferenceGrpcServer = { readonly address: string; close(): Promise<void> };

/** Of one connection; Envoy opens another when it has more. */
const MAX_CONCURRENT_STREAMS = 1024;
/** A peer that does not answer a ping in this time is not waited for. */
const GOAWAY_TIMEOUT_MS = 1000;
/** For calls that are open when the server closes. */
const FINISH_MS = 20_000;

/** The Open Inference Protocol over gRPC, with health and reflection. */
export async function serveInferenceGrpc(
  options: InferenceGrpcOptions,
): Promise<InferenceGrpcServer> {
  const streams = new OpenStreams();
  const transport = await listen(
    options,
    new Map([
      ...inferenceMethods({ ...options, streams }),
      ...healthMethods(options.models, streams),
      ...methodsOf(new ReflectionService(reflected())),
    ]),
  );
  return { address: transport.address, close: () => close(transport, streams) };
}

const inferenceMethods = (parts: ModelMethodParts & InferMethodParts) =>
  Object.entries({
    ...modelMethods(parts),
    ...repositoryMethods(parts),
    ModelInfer: modelInfer(parts),
    ModelStreamInfer: modelStreamInfer(parts),
  }).map(([name, method]) => [methodPath(name), method] as const);

const reflected = () => ({ ...inferenceDefinition, ...loadSync(healthProto, { keepCase: true }) });

async function listen(
  { address, budget, maxBodyBytes, requestTimeoutMs, logger }: InferenceGrpcOptions,
  methods: ReadonlyMap<string, AcceptTimed>,
): Promise<Transport> {
  try {
    return await listenHttp2(address, {
      methods,
      limits: {
        maxMessageBytes: maxBodyBytes,
        maxStreams: MAX_CONCURRENT_STREAMS,
        heldBytes: () => budget,
        wholeMs: requestTimeoutMs,
      },
      onBug: (err) => {
        logger.error({ err }, "a call or its connection ended with an error of ours");
      },
    });
  } catch (cause) {
    if (cause instanceof ServiceError) throw cause;
    const because = cause instanceof Error ? cause.message : String(cause);
    const message = `cannot listen on gRPC address ${address}: ${because}`;
    throw new ServiceError("dependencyDown", message, { cause });
  }
}

/** Sends peers elsewhere, and ends when the calls that are open have their answers. */
async function close(transport: Transport, streams: OpenStreams): Promise<void> {
  await transport.retire(GOAWAY_TIMEOUT_MS);
  streams.finish();
  await within(FINISH_MS, transport.closed);
  transport.destroy();
  await transport.closed;
}
