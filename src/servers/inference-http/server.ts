import { setImmediate as nextTurn } from "node:timers/promises";
import { fastify } from "fastify";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Logger } from "pino";
import type { Infer } from "../../app/infer.js";
import type { ServedModels } from "../../app/served-models.js";
import type { Clock } from "../../app/ports.js";
import { ServiceError } from "../../core/error.js";
import { parseHostPort } from "../../core/host-port.js";
import { answerError } from "./errors.js";
import { inferRoute } from "./infer-route.js";
import { metadataRoutes } from "./metadata-routes.js";
import { OpenRequests } from "./open-requests.js";

export type InferenceHttpOptions = {
  /** `HOST:PORT`; port 0 picks a free one. */
  readonly address: string;
  readonly models: ServedModels;
  readonly infer: Infer;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly serverVersion: string;
  readonly maxBodyBytes: number;
};

export type InferenceHttpServer = { readonly address: string; close(): Promise<void> };

/** The Open Inference Protocol over HTTP. */
export async function serveInferenceHttp(
  options: InferenceHttpOptions,
): Promise<InferenceHttpServer> {
  const { host, port } = parseHostPort("HTTP address", options.address);
  const app = inferenceHttpApp(options);
  const open = new OpenRequests(app.server);
  try {
    const url = await app.listen({ host, port });
    return { address: url.replace(/^http:\/\//, ""), close: () => closeAnswered(app, open) };
  } catch (cause) {
    const because = cause instanceof Error ? cause.message : String(cause);
    const message = `cannot listen on HTTP address ${options.address}: ${because}`;
    throw new ServiceError("dependencyDown", message, { cause });
  }
}

/**
 * Ends connections when their answers are out. Node.js waits for those that never carried a
 * request, and the mesh opens such connections ahead of need.
 */
async function closeAnswered(app: FastifyInstance, open: OpenRequests): Promise<void> {
  const closing = app.close();
  while (app.server.listening) await nextTurn();
  await open.none();
  app.server.closeAllConnections();
  await closing;
}

/** Apart from `serveInferenceHttp` so that tests can inject requests. */
export function inferenceHttpApp(options: Omit<InferenceHttpOptions, "address">): FastifyInstance {
  const { models, logger, maxBodyBytes } = options;
  const app: FastifyInstance = fastify({
    bodyLimit: maxBodyBytes,
    routerOptions: { maxParamLength: 256 },
    // A request that is already here when the listener closes is still served.
    return503OnClosing: false,
    frameworkErrors: (error, _request, reply) => {
      answerError(error, reply, logger);
    },
    clientErrorHandler: (error, socket) => {
      const body = JSON.stringify({ error: `this is not HTTP: ${error.message}` });
      const head = `HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: ${Buffer.byteLength(body)}`;
      if (socket.writable) socket.end(`${head}\r\n\r\n${body}`);
    },
  });
  // Every body is taken as bytes: which form it has depends on the model.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => {
    done(null, body);
  });
  app.setErrorHandler((error, _request, reply) => {
    answerError(error, reply, logger);
  });
  app.setNotFoundHandler((request: FastifyRequest, reply: FastifyReply) => {
    const path = request.url.split("?", 1)[0]?.slice(0, 256) ?? "";
    const error = new ServiceError("notFound", `no route ${path}: this server speaks /v2 only`);
    answerError(error, reply, logger);
  });
  app.addHook("onSend", (_request, reply, _payload, done) => {
    // The client shall connect anew, and so to another pod.
    if (models.draining) reply.header("connection", "close");
    done();
  });
  metadataRoutes(app, options);
  inferRoute(app, options);
  return app;
}
