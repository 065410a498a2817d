import type { MessageTypeDefinition } from "@grpc/proto-loader";
import { loadProto, messageTypeOf } from "../proto-messages.js";

/** Names as in the files: they are those of the JSON of HTTP. Tensors are read by infer-request.ts. */
export const inferenceDefinition = loadProto("inference/grpc_service.proto", { keepCase: true });

export const INFERENCE_SERVICE = "inference.GRPCInferenceService";

export const messageType = <Output>(name: string): MessageTypeDefinition<object, Output> =>
  messageTypeOf(inferenceDefinition, `inference.${name}`);

export const methodPath = (name: string) => `/${INFERENCE_SERVICE}/${name}`;
