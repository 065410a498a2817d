import { status as grpcStatus } from "@grpc/grpc-js";
import type { sendUnaryData, ServerUnaryCall, ServerWritableStream } from "@grpc/grpc-js";
import { service } from "grpc-health-check";
import type { ServedModels } from "../../app/served-models.js";
import { methodsOf } from "../grpc/methods-of.js";
import type { AcceptStream } from "../grpc/stream.js";
import type { OpenStreams } from "./open-streams.js";
import { INFERENCE_SERVICE } from "./protocol.js";

type Request = { readonly service?: string };
type Status = "SERVING" | "NOT_SERVING" | "SERVICE_UNKNOWN";
type Reply = { readonly status: Status };

/** How soon a watcher hears of a change. */
const WATCH_MS = 250;

/**
 * `grpc.health.v1`: the whole server under "", `readiness` and the name of its service, each model
 * under `<model>` and `<model>/<version>`. Only `liveness` stays SERVING while we drain. Asked of the
 * models each time, so that it cannot differ from what ServerReady and ModelReady say.
 */
export function healthMethods(
  models: ServedModels,
  streams: OpenStreams,
): ReadonlyMap<string, AcceptStream> {
  const check = (call: ServerUnaryCall<Request, Reply>, callback: sendUnaryData<Reply>) => {
    const status = statusOf(models, call.request.service ?? "");
    if (status === "SERVICE_UNKNOWN") callback({ code: grpcStatus.NOT_FOUND });
    else callback(null, { status });
  };
  const watch = (call: ServerWritableStream<Request, Reply>) => {
    let last: Status | undefined;
    const tell = () => {
      const status = statusOf(models, call.request.service ?? "");
      if (status !== last) call.write({ status });
      last = status;
    };
    tell();
    const timer = setInterval(tell, WATCH_MS);
    call.once("cancelled", () => {
      clearInterval(timer);
      streams.delete(call);
    });
    streams.add(call, () => {
      tell();
      call.end();
    });
  };
  return methodsOf({
    addToServer: (server) => {
      server.addService(service, { check, watch });
    },
  });
}

const READINESS = ["", "readiness", INFERENCE_SERVICE];

function statusOf(models: ServedModels, name: string): Status {
  if (name === "liveness") return "SERVING";
  if (READINESS.includes(name)) return models.ready().ready ? "SERVING" : "NOT_SERVING";
  const [model = "", version] = name.split("/", 2);
  try {
    return models.isReady(model, version) ? "SERVING" : "NOT_SERVING";
  } catch {
    // No such model, or no such version of it.
    return "SERVICE_UNKNOWN";
  }
}
