import type { IncomingMessage } from "node:http";
import type { Readable, Transform } from "node:stream";
import { createGunzip, createInflate } from "node:zlib";
import { ServiceError } from "../../core/error.js";
import type { ByteLease } from "../../core/serving/byte-budget.js";
import { isJson } from "./media-type.js";

export type BodyLimits = {
  /** Of a whole body, uncompressed. */
  readonly maxBodyBytes: number;
  /** Of its JSON: the parser costs far more than the bytes. */
  readonly maxJsonBytes: number;
};

/**
 * Reads a body to its end, uncompressed. Stops at the limit, of a compressed one too: that is where
 * a zip bomb ends. Every byte is taken from the budget of the process as it arrives.
 */
export async function readBody(
  request: IncomingMessage,
  limits: BodyLimits,
  lease: ByteLease,
): Promise<Buffer> {
  const limit = limitOf(request, limits);
  const decoder = decoderOf(request.headers["content-encoding"]);
  const announced = Number(request.headers["content-length"] ?? 0);
  try {
    if (announced > limit.bytes) throw tooLarge(limit);
    return await collect(request, decoder, (total, chunk) => {
      if (total > limit.bytes) throw tooLarge(limit);
      lease.take(chunk);
    });
  } catch (error) {
    if (error instanceof ServiceError && error.code === "tooLarge") await discard(request, limits);
    throw error;
  }
}

type Limit = { readonly bytes: number; readonly text: string };

function limitOf({ headers }: IncomingMessage, limits: BodyLimits): Limit {
  const { maxBodyBytes, maxJsonBytes } = limits;
  const hasBinary = headers["inference-header-content-length"] !== undefined;
  return hasBinary || !isJson(headers["content-type"]) || maxBodyBytes < maxJsonBytes
    ? { bytes: maxBodyBytes, text: `${maxBodyBytes} bytes (--max-body-bytes)` }
    : {
        bytes: maxJsonBytes,
        text: `${maxJsonBytes} bytes of JSON (--max-json-bytes): send tensors as binary data`,
      };
}

function tooLarge({ text }: Limit): ServiceError {
  return new ServiceError("tooLarge", `the body is over the limit of ${text}`);
}

/** `deflate` is the zlib format (RFC 9110 section 8.4.1.2). */
function decoderOf(encoding: string | undefined): Transform | undefined {
  const name = encoding?.trim().toLowerCase() ?? "identity";
  if (name === "gzip" || name === "x-gzip") return createGunzip();
  if (name === "deflate") return createInflate();
  if (name === "identity" || name === "") return undefined;
  const message = `content-encoding ${JSON.stringify(name.slice(0, 64))} is not supported: send gzip, deflate, or the body as it is`;
  throw new ServiceError("unsupported", message);
}

/**
 * Listens to events and iterates over nothing: an iterator that is left early destroys the
 * request, and with it the connection on which to say why.
 */
function collect(
  request: IncomingMessage,
  decoder: Transform | undefined,
  onChunk: (totalBytes: number, chunkBytes: number) => void,
): Promise<Buffer> {
  const source: Readable = decoder === undefined ? request : request.pipe(decoder);
  return new Promise<Buffer>((resolve, reject) => {
    const chunks: Buffer[] = [];
    let total = 0;
    const stop = (error: ServiceError) => {
      source.removeListener("data", take);
      if (decoder !== undefined) {
        request.unpipe(decoder);
        decoder.destroy();
      }
      reject(error);
    };
    const take = (chunk: Buffer) => {
      total += chunk.length;
      try {
        onChunk(total, chunk.length);
        chunks.push(chunk);
      } catch (error) {
        stop(ServiceError.from(error));
      }
    };
    source.on("data", take);
    source.once("end", () => {
      const [first] = chunks;
      resolve(chunks.length === 1 && first ? first : Buffer.concat(chunks, total));
    });
    request.once("close", () => {
      if (!request.complete) stop(new ServiceError("cancelled", "the caller closed the request"));
    });
    request.once("error", () => {
      stop(new ServiceError("cancelled", "the caller closed the request"));
    });
    decoder?.once("error", (cause) => {
      const message = `the body is not what its content-encoding says: ${cause.message}`;
      stop(new ServiceError("badRequest", message, { cause }));
    });
  });
}

/**
 * Most clients read no answer before their whole body is sent, so the body is let through, and
 * thrown away. Not without end: after four times the limit the connection is closed on them.
 */
async function discard(request: IncomingMessage, { maxBodyBytes }: BodyLimits): Promise<void> {
  if (request.readableEnded || request.destroyed) return;
  if (Number(request.headers["content-length"] ?? 0) > 4 * maxBodyBytes) return;
  await new Promise<void>((resolve) => {
    let discarded = 0;
    request.on("data", (chunk: Buffer) => {
      discarded += chunk.length;
      if (discarded > 4 * maxBodyBytes) resolve();
    });
    request.once("end", resolve);
    request.once("close", resolve);
    request.resume();
  });
}
