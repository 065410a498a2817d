import { HEADER, METADATA_NAMESPACE } from "../../../schema/headers.js";
import { why, type Tree } from "../rendered-document.js";
import { typed } from "./protobuf.js";

const request = (header: string) => `%REQ(${header.toUpperCase()})%`;
const extProc = (field: string) => `%FILTER_STATE(envoy.filters.http.ext_proc:FIELD:${field})%`;

const FIELDS = {
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
  version: request(HEADER.version),
  shadow: request(HEADER.shadowCluster),
  extproc_status: extProc("request_header_call_status"),
  extproc_latency_us: extProc("request_header_latency_us"),
};

/** One JSON line per request; paths without the query, which may hold personal data. */
export function accessLog(file: string | undefined): Tree {
  const format = {
    log_format: {
      json_format: why("No decision and an extproc_status above 0: the default served.", FIELDS),
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
