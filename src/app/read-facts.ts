import { ServiceError } from "../core/error.js";
import { headerViewOf } from "../core/routing/facts.js";
import type { RequestFacts } from "../core/routing/facts.js";
import { RequestFactsInput } from "../schema/facts.js";
import { issuesOf, shapeMessage } from "../schema/shape-issues.js";

/**
 * Reads request facts from JSON text.
 *
 * @throws ServiceError badRequest that names what is wrong with the text
 */
export function readFacts(text: string): RequestFacts {
  const parsed = RequestFactsInput.safeParse(parseJson(text), { error: shapeMessage });
  if (!parsed.success) {
    const mistakes = parsed.error.issues
      .flatMap(issuesOf)
      .map(({ path, message }) => `${path.length > 0 ? `${path.join(".")}: ` : ""}${message}`);
    throw new ServiceError("badRequest", mistakes.join("; "));
  }
  const { method, path, host, headers, peer, unhealthy } = parsed.data;
  return {
    method,
    path,
    host,
    headers: headerViewOf(headers),
    principal: peer.principal,
    unhealthy: new Set(unhealthy),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : "no JSON";
    throw new ServiceError("badRequest", `not a JSON object: ${why}`, { cause });
  }
}
