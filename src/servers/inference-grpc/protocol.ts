import { fileURLToPath } from "node:url";
import type { ServiceDefinition } from "@grpc/grpc-js";
import { loadSync, type MessageTypeDefinition } from "@grpc/proto-loader";

/** Names as in the files: they are those of the JSON of HTTP. Tensors are read by infer-request.ts. */
export const inferenceDefinition = loadSync("inference/grpc_service.proto", {
  keepCase: true,
  longs: Number,
  enums: String,
  oneofs: true,
  includeDirs: [fileURLToPath(new URL("../../../proto", import.meta.url))],
});

export const INFERENCE_SERVICE = "inference.GRPCInferenceService";

/** The generated types and the loaded definition come from the same files (`npm run generate`). */
export function messageType<Output>(name: string): MessageTypeDefinition<object, Output> {
  const type = inferenceDefinition[`inference.${name}`];
  if (type === undefined) throw new Error(`proto/ does not define inference.${name}`);
  return type as unknown as MessageTypeDefinition<object, Output>;
}

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
