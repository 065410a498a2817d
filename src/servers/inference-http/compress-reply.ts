import { constants, deflate, gzip } from "node:zlib";

/** Below it a reply fits one packet either way. */
const MIN_BYTES = 1024;

const ENCODERS = { gzip, deflate } as const;
type Encoding = keyof typeof ENCODERS;

/** How the caller's Accept-Encoding wants this reply; undefined: as it is. */
export function replyEncoding(accepted: string | undefined, body: unknown): Encoding | undefined {
  if (accepted === undefined || !(typeof body === "string" || Buffer.isBuffer(body))) {
    return undefined;
  }
  return Buffer.byteLength(body) < MIN_BYTES ? undefined : encodingOf(accepted);
}

/** On another thread. Tensors of floats hardly shrink, however hard one tries. */
export function compress(
  encoding: Encoding,
  body: string | Buffer,
  done: (error: Error | null, body: Buffer) => void,
): void {
  ENCODERS[encoding](body, { level: constants.Z_BEST_SPEED }, done);
}

/** RFC 9110 section 12.5.3; of those with one weight, gzip. `*` asks for nothing in particular. */
function encodingOf(accepted: string): Encoding | undefined {
  const weights = new Map<string, number>();
  for (const item of accepted.toLowerCase().split(",").slice(0, 16)) {
    const [name = "", ...parameters] = item.split(";").map((part) => part.trim());
    const weight = parameters.find((parameter) => parameter.startsWith("q="))?.slice(2) ?? "1";
    weights.set(name === "x-gzip" ? "gzip" : name, Number(weight));
  }
  const [gzipWeight, deflateWeight] = [weights.get("gzip") ?? 0, weights.get("deflate") ?? 0];
  if (gzipWeight > 0 && gzipWeight >= deflateWeight) return "gzip";
  return deflateWeight > 0 ? "deflate" : undefined;
}
