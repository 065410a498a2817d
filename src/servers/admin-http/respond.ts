import type { IncomingMessage, ServerResponse } from "node:http";
import type { Logger } from "pino";
import { ServiceError } from "../../core/error.js";
import { wireStatusOf } from "../wire-status.js";
import type { AdminAnswer, AdminRoute } from "./route.js";

const MAX_BODY_BYTES = 64 * 1024;

/** Answers one request; never rejects. */
export async function respond(
  routes: readonly AdminRoute[],
  logger: Logger,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    send(request, response, await answerOf(routes, request, response));
  } catch (thrown) {
    const error = ServiceError.from(thrown);
    if (error.code === "internal") logger.error({ err: thrown }, "admin request failed");
    const body = { code: error.code, error: error.message };
    send(request, response, { status: wireStatusOf(error).http, body });
  }
}

async function answerOf(
  routes: readonly AdminRoute[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<AdminAnswer> {
  const { pathname, searchParams } = urlOf(request.url ?? "/");
  const onPath = routes.filter(({ path }) => path === pathname);
  if (onPath.length === 0) {
    const known = routes.map(({ method, path }) => `${method} ${path}`).join(", ");
    throw new ServiceError("notFound", `no route ${pathname}; the routes are: ${known}`);
  }
  const method = request.method === "HEAD" ? "GET" : request.method;
  const route = onPath.find((each) => each.method === method);
  if (route === undefined) {
    const allow = onPath.map((each) => (each.method === "GET" ? "GET, HEAD" : "POST")).join(", ");
    response.setHeader("allow", allow);
    throw new ServiceError(
      "methodNotAllowed",
      `${pathname} takes ${allow}, not ${String(request.method)}`,
    );
  }
  const body = route.method === "POST" ? await bodyOf(request) : "";
  return route.answer({
    query: searchParams,
    headers: request.headers,
    body,
    json: () => parseJson(body),
  });
}

function urlOf(target: string): URL {
  try {
    return new URL(target, "http://admin.invalid");
  } catch (cause) {
    const message = `request target ${JSON.stringify(target)} is not a path`;
    throw new ServiceError("badRequest", message, { cause });
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  // A destroyed request would take the socket, and with it the 413, along.
  const chunks = request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) {
      const message = `the body is over ${MAX_BODY_BYTES} bytes, the limit of admin requests`;
      throw new ServiceError("tooLarge", message);
    }
    parts.push(chunk);
  }
  return Buffer.concat(parts).toString("utf8");
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body) as unknown;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ServiceError("badRequest", `the body is not JSON: ${why}`, { cause });
  }
}

function send(request: IncomingMessage, response: ServerResponse, answer: AdminAnswer): void {
  if (response.headersSent || response.destroyed) return;
  const { body } = answer;
  const [text, defaultType] =
    typeof body === "string"
      ? [body, "text/plain; charset=utf-8"]
      : [`${JSON.stringify(body)}\n`, "application/json"];
  response.writeHead(answer.status, {
    "content-type": answer.contentType ?? defaultType,
    "content-length": Buffer.byteLength(text),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  });
  response.end(request.method === "HEAD" ? undefined : text);
}
