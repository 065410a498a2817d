import { Client, credentials, Metadata, status } from "@grpc/grpc-js";
import type { ServiceError as GrpcError } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import type { MessageTypeDefinition } from "@grpc/proto-loader";

/** Messages as protobuf.js reads and writes them, exact to the last bit of a 64-bit integer. */
const definition = loadSync("inference/grpc_service.proto", {
  ...{ keepCase: true, longs: String, enums: String, defaults: true, oneofs: true },
  includeDirs: ["proto"],
});

type Json = Readonly<Record<string, unknown>>;

export function message(name: string): MessageTypeDefinition<Json, Json> {
  return definition[`inference.${name}`] as unknown as MessageTypeDefinition<Json, Json>;
}

export type Answer = {
  /** 0: OK. */
  readonly code: status;
  readonly details: string;
  readonly reply: Json;
  readonly trailers: Metadata;
};

type CallOptions = {
  readonly metadata?: Readonly<Record<string, string>>;
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
  /** A stream does not close its side. */
  readonly staysOpen?: boolean;
};

export type InferenceGrpcClient = {
  /** A request is an object, or bytes that no object can say. */
  call(method: string, request?: Json | Buffer, options?: CallOptions): Promise<Answer>;
  /** Sends all, closes its side, and gives what came back until the end. */
  stream(requests: readonly (Json | Buffer)[], options?: CallOptions): Promise<StreamAnswer>;
  close(): void;
};

export type StreamAnswer = Omit<Answer, "reply"> & { readonly replies: readonly Json[] };

const SERVICE = "/inference.GRPCInferenceService";
const asItIs = (bytes: Buffer) => bytes;

export function inferenceGrpcClient(address: string): InferenceGrpcClient {
  const client = new Client(address, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.max_receive_message_length": -1,
  });
  return {
    call: (method, request = {}, options = {}) =>
      new Promise((resolve) => {
        const bytes = bytesOf(`${method}Request`, request);
        let outcome: Pick<Answer, "code" | "details" | "reply"> | undefined;
        const call = client.makeUnaryRequest(
          `${SERVICE}/${method}`,
          asItIs,
          asItIs,
          bytes,
          metadataOf(options),
          deadlineOf(options),
          (error: GrpcError | null, reply?: Buffer) => {
            outcome = {
              code: error?.code ?? status.OK,
              details: error?.details ?? "",
              reply: reply === undefined ? {} : message(`${method}Response`).deserialize(reply),
            };
          },
        );
        options.signal?.addEventListener("abort", () => {
          call.cancel();
        });
        call.on("status", ({ metadata }) => {
          // The callback comes before or after, but in the same turn.
          setImmediate(() => {
            resolve({
              ...(outcome ?? { code: status.UNKNOWN, details: "", reply: {} }),
              trailers: metadata,
            });
          });
        });
      }),
    stream: (requests, options = {}) =>
      new Promise((resolve) => {
        const path = `${SERVICE}/ModelStreamInfer`;
        const call = client.makeBidiStreamRequest(
          path,
          asItIs,
          asItIs,
          metadataOf(options),
          deadlineOf(options),
        );
        const replies: Json[] = [];
        call.on("data", (reply: Buffer) => {
          replies.push(message("ModelStreamInferResponse").deserialize(reply));
        });
        call.on("error", () => undefined);
        call.on("status", ({ code, details, metadata }) => {
          resolve({ code, details, replies, trailers: metadata });
        });
        for (const request of requests) call.write(bytesOf("ModelInferRequest", request));
        if (options.staysOpen !== true) call.end();
      }),
    close: () => {
      client.close();
    },
  };
}

const bytesOf = (name: string, request: Json | Buffer) =>
  Buffer.isBuffer(request) ? request : message(name).serialize(request);

function metadataOf({ metadata = {} }: CallOptions): Metadata {
  const fields = new Metadata();
  for (const [name, value] of Object.entries(metadata)) fields.set(name, value);
  return fields;
}

const deadlineOf = ({ deadlineMs }: CallOptions) =>
  deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs };
