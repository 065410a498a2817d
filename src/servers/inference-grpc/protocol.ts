import type { ServiceDefinition } from "@grpc/grpc-js";
import type { MessageTypeDefinition } from "@grpc/proto-loader";
import { loadProto, messageTypeOf } from "../proto-messages.js";

/** Names as in the files: they are those of the JSON of HTTP. Tensors are read by infer-request.ts. */
export const inferenceDefinition = loadProto("inference/grpc_service.proto", { keepCase: true });

export const INFERENCE_SERVICE = "inference.GRPCInferenceService";

export const messageType = <Output>(name: string): MessageTypeDefinition<object, Output> =>
  messageTypeOf(inferenceDefinition, `inference.${name}`);

/** Its methods, for grpc-js: bytes in, bytes out, see unary.ts. */
export function inferenceService(): ServiceDefinition {
  const loaded = inferenceDefinition[INFERENCE_SERVICE] as unknown as ServiceDefinition;
  const methods = Object.entries(loaded).map(([name, method]) => [
    name,
    {
      ...method,
      ...{ requestSerialize: asItIs, requestDeserialize: asItIs },
      ...{ responseSerialize: asItIs, responseDeserialize: asItIs },
    },
  ]);
  return Object.fromEntries(methods) as ServiceDefinition;
}

const asItIs = (bytes: Buffer): Buffer => bytes;
