import { status as grpcStatus } from "@grpc/grpc-js";
import type { ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";
import { EventEmitter } from "node:events";
import { oneMessage } from "./one-message.js";
import type { AcceptStream, ServerStream } from "./stream.js";

/** What enlists itself in a server of grpc-js, as packages that implement a service do. */
export type Enlisting = {
  addToServer(server: {
    addService(service: ServiceDefinition, handlers: UntypedServiceImplementation): void;
  }): void;
};

/** The methods of such a service for any transport, by path. */
export function methodsOf(service: Enlisting): ReadonlyMap<string, AcceptStream> {
  const methods = new Map<string, AcceptStream>();
  service.addToServer({
    addService: (definition, handlers) => {
      const byName = handlers as unknown as Readonly<Record<string, Handler>>;
      for (const [name, method] of Object.entries(definition)) {
        const handler = byName[name] ?? byName[`${name.charAt(0).toLowerCase()}${name.slice(1)}`];
        if (handler !== undefined) methods.set(method.path, accepting(method, handler));
      }
    },
  });
  return methods;
}

type Method = ServiceDefinition[string];
type Handler = (call: Call, answer: AnswerUnary) => void;
type AnswerUnary = (
  error: { readonly code: number; readonly details?: string } | null,
  value?: object,
) => void;

/** What handlers use of the calls of grpc-js. */
class Call extends EventEmitter {
  request: object | undefined;
  readonly #method: Method;
  readonly #stream: ServerStream;

  constructor(method: Method, stream: ServerStream) {
    super();
    this.#method = method;
    this.#stream = stream;
  }

  write(value: object): void {
    this.#stream.send(this.#method.responseSerialize(value));
  }

  end(): void {
    this.#stream.end();
  }
}

const accepting =
  (method: Method, handler: Handler): AcceptStream =>
  (stream) => {
    const call = new Call(method, stream);
    const answer: AnswerUnary = (error, value) => {
      if (error !== null) stream.fail(error.code, error.details ?? "");
      else if (value !== undefined) {
        call.write(value);
        call.end();
      }
    };
    const closed = () => {
      call.emit("cancelled");
    };
    if (!method.requestStream) {
      const take = (bytes: Buffer) => {
        call.request = requestOf(method, bytes, stream);
        if (call.request !== undefined) handler(call, answer);
      };
      return oneMessage(stream, take, closed);
    }
    handler(call, answer);
    return {
      message: (bytes) => {
        const request = requestOf(method, bytes, stream);
        if (request !== undefined) call.emit("data", request);
      },
      halfClosed: () => {
        call.emit("end");
      },
      closed,
    };
  };

function requestOf(method: Method, bytes: Buffer, stream: ServerStream): object | undefined {
  try {
    return method.requestDeserialize(bytes) as object;
  } catch {
    stream.fail(grpcStatus.INVALID_ARGUMENT, `${bytes.length} bytes are no ${method.path} request`);
    return undefined;
  }
}
