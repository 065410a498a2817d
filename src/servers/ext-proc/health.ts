import { status as grpcStatus } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import { EXT_PROC_SERVICE } from "./protocol.js";
import { RATE_LIMIT_SERVICE } from "../rate-limit/protocol.js";
import type { AcceptStream, SideStream } from "./side-stream.js";

const LIVENESS = "liveness";
/** "" is what a probe without a service name asks for. */
const READINESS = ["", "readiness", EXT_PROC_SERVICE, RATE_LIMIT_SERVICE];

export type Health = {
  notReady(): void;
  /** Enlists it in a server of grpc-js. */
  readonly addToServer: HealthImplementation["addToServer"];
};

/**
 * `grpc.health.v1` under the names that probes and meshes use. Only `liveness` stays SERVING while
 * we drain: a restart then would lose the streams that the drain protects.
 */
export function makeHealth(): Health {
  const health = new HealthImplementation({
    [LIVENESS]: "SERVING",
    ...Object.fromEntries(READINESS.map((name) => [name, "SERVING" as const])),
  });
  return {
    addToServer: (server) => {
      health.addToServer(server);
    },
    notReady: () => {
      for (const name of READINESS) health.setStatus(name, "NOT_SERVING");
    },
  };
}

type Server = Parameters<HealthImplementation["addToServer"]>[0];
type Method = Parameters<Server["addService"]>[0][string];
type Handlers = Readonly<Record<string, (call: object, answer: AnswerUnary) => void>>;
type AnswerUnary = (
  error: { readonly code: number; readonly details: string } | null,
  value?: object,
) => void;

/** The same implementation for a transport that is not grpc-js: its methods, by path. */
export function healthMethods({ addToServer }: Health): ReadonlyMap<string, AcceptStream> {
  const methods = new Map<string, AcceptStream>();
  const server: Server = {
    addService: (service, handlers) => {
      for (const [name, method] of Object.entries(service)) {
        const { [`${name.charAt(0).toLowerCase()}${name.slice(1)}`]: handler } =
          handlers as Handlers;
        if (handler !== undefined) methods.set(method.path, accepting(method, handler));
      }
    },
  };
  addToServer(server);
  return methods;
}

/** One request, and one answer or many. */
function accepting(method: Method, handler: Handlers[string]): AcceptStream {
  return (stream) => {
    let onCancelled: () => void = () => undefined;
    const write = (value: object) => {
      stream.send(method.responseSerialize(value));
    };
    const answer: AnswerUnary = (error, value) => {
      if (error !== null) stream.fail(error.code, error.details);
      else if (value !== undefined) {
        write(value);
        stream.end();
      }
    };
    const on = (_: "cancelled", listener: () => void) => {
      onCancelled = listener;
    };
    let isAsked = false;
    return {
      message: (bytes) => {
        const request = isAsked ? undefined : requestOf(method, bytes, stream);
        isAsked = true;
        if (request !== undefined) handler({ request, write, on }, answer);
      },
      halfClosed: () => {
        if (!isAsked) stream.fail(grpcStatus.INVALID_ARGUMENT, `${method.path} takes one request`);
      },
      closed: () => {
        onCancelled();
      },
    };
  };
}

function requestOf(method: Method, bytes: Buffer, stream: SideStream): object | undefined {
  try {
    return method.requestDeserialize(bytes);
  } catch {
    stream.fail(grpcStatus.INVALID_ARGUMENT, `${bytes.length} bytes are no ${method.path} request`);
    return undefined;
  }
}
