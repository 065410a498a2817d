import { fileURLToPath } from "node:url";
import { loadSync, type MessageTypeDefinition } from "@grpc/proto-loader";
import type {
  ProcessingRequest,
  ProcessingRequest__Output,
} from "../../gen/envoy/service/ext_proc/v3/ProcessingRequest.js";
import type {
  ProcessingResponse,
  ProcessingResponse__Output,
} from "../../gen/envoy/service/ext_proc/v3/ProcessingResponse.js";
import type { Struct, Struct__Output } from "../../gen/google/protobuf/Struct.js";

/** No `defaults`: they double the cost of decoding, and absent is what proto3 means anyway. */
const definition = loadSync("envoy/service/ext_proc/v3/external_processor.proto", {
  longs: Number,
  enums: String,
  oneofs: true,
  includeDirs: [fileURLToPath(new URL("../../../proto", import.meta.url))],
});

/** The generated types and the loaded definition come from the same files (`npm run generate`). */
function messageType<Input, Output>(name: string): MessageTypeDefinition<Input, Output> {
  const type = definition[name];
  if (type === undefined) throw new Error(`proto/ does not define ${name}`);
  return type as unknown as MessageTypeDefinition<Input, Output>;
}

export const processingRequestType = messageType<ProcessingRequest, ProcessingRequest__Output>(
  "envoy.service.ext_proc.v3.ProcessingRequest",
);
export const processingResponseType = messageType<ProcessingResponse, ProcessingResponse__Output>(
  "envoy.service.ext_proc.v3.ProcessingResponse",
);
export const structType = messageType<Struct, Struct__Output>("google.protobuf.Struct");

export const EXT_PROC_SERVICE = "envoy.service.ext_proc.v3.ExternalProcessor";
export const PROCESS_PATH = `/${EXT_PROC_SERVICE}/Process`;
