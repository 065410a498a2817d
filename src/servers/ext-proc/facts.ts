import type { RequestFacts } from "../../core/routing/facts.js";
import { principalOf } from "./wire/attributes.js";
import type { ReadRequest } from "./wire/read-request.js";

export function factsOf(
  { headers, message, principal }: ReadRequest,
  unhealthy: ReadonlySet<string>,
): RequestFacts {
  return {
    method: headers.pseudo(":method"),
    path: headers.pseudo(":path"),
    host: headers.pseudo(":authority"),
    headers,
    principal: message === undefined ? principal : principalOf(message),
    unhealthy,
  };
}
