import { HEADER, METADATA_NAMESPACE } from "../../../schema/headers.js";
import { why, type Tree } from "../rendered-document.js";
import { EXT_PROC_FILTER } from "./ext-proc-filter.js";
import { typed } from "./protobuf.js";

const request = (header: string) => `%REQ(${header.toUpperCase()})%`;

const fields = (extProcFilter: string) => ({
  time: "%START_TIME%",
  method: "%REQ(:METHOD)%",
  host: "%REQ(:AUTHORITY)%",
  path: "%PATH(NQ)%",
  status: "%RESPONSE_CODE%",
  details: "%RESPONSE_CODE_DETAILS%",
  flags: "%RESPONSE_FLAGS%",
  duration_ms: "%DURATION%",
  route: "%ROUTE_NAME%",
  cluster: "%UPSTREAM_CLUSTER_RAW%",
  upstream: "%UPSTREAM_HOST%",
  attempts: "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
  request_id: request(HEADER.requestId),
  decision: `%DYNAMIC_METADATA(${METADATA_NAMESPACE}:decision)%`,
  reason: `%DYNAMIC_METADATA(${METADATA_NAMESPACE}:reason)%`,
  version: request(HEADER.version),
  shadow: request(HEADER.shadowCluster),
  extproc_status: `%FILTER_STATE(${extProcFilter}:FIELD:request_header_call_status)%`,
  extproc_latency_us: `%FILTER_STATE(${extProcFilter}:FIELD:request_header_latency_us)%`,
});

type AccessLog = { readonly name: string; readonly typed_config: Tree };

/** One JSON line per request; paths without the query, which may hold personal data. */
export function accessLog(
  file: string | undefined,
  extProcFilter: string = EXT_PROC_FILTER,
): AccessLog {
  const format = {
    log_format: {
      json_format: why(
        "No decision and an extproc_status above 0: the default served.",
        fields(extProcFilter),
      ),
    },
  };
  return file === undefined
    ? {
        name: "envoy.access_loggers.stdout",
        typed_config: typed("envoy.extensions.access_loggers.stream.v3.StdoutAccessLog", format),
      }
    : {
        name: "envoy.access_loggers.file",
        typed_config: typed("envoy.extensions.access_loggers.file.v3.FileAccessLog", {
          path: file,
          ...format,
        }),
      };
}
