import type {
  ProcessingRequest,
  ProcessingRequest__Output,
} from "../../gen/envoy/service/ext_proc/v3/ProcessingRequest.js";
import type {
  ProcessingResponse,
  ProcessingResponse__Output,
} from "../../gen/envoy/service/ext_proc/v3/ProcessingResponse.js";
import type { Struct, Struct__Output } from "../../gen/google/protobuf/Struct.js";
import { loadProto, messageTypeOf } from "../proto-messages.js";

const definition = loadProto("envoy/service/ext_proc/v3/external_processor.proto");

export const processingRequestType = messageTypeOf<ProcessingRequest, ProcessingRequest__Output>(
  definition,
  "envoy.service.ext_proc.v3.ProcessingRequest",
);
export const processingResponseType = messageTypeOf<ProcessingResponse, ProcessingResponse__Output>(
  definition,
  "envoy.service.ext_proc.v3.ProcessingResponse",
);
export const structType = messageTypeOf<Struct, Struct__Output>(
  definition,
  "google.protobuf.Struct",
);

export const EXT_PROC_SERVICE = "envoy.service.ext_proc.v3.ExternalProcessor";
export const PROCESS_PATH = `/${EXT_PROC_SERVICE}/Process`;
