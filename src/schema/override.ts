import { z } from "zod";
import { HEADER } from "./headers.js";
import { shown } from "./shape-issues.js";
import { HeaderName, Name } from "./values.js";

export const Trust = z
  .union(
    [
      z.strictObject({
        signed: Name.meta({
          description: "Name of an HMAC key given to the process (--override-key NAME=FILE).",
        }),
      }),
      z.strictObject({
        principal: z
          .string()
          // A "*" inside the trust domain would trust every domain that begins alike.
          .regex(/^spiffe:\/\/[^\s*/]+\/[^\s*]*\*?$/, {
            error: ({ input }) =>
              `principal ${shown(input)} must be a SPIFFE id, spiffe://TRUST_DOMAIN/PATH, with at most one "*", at the end of the path`,
          })
          .meta({
            description:
              "SPIFFE id of the caller as mTLS proved it; a trailing * matches any rest.",
          }),
      }),
    ],
    {
      error: ({ input }) =>
        `must be { signed: KEY } or { principal: SPIFFE_ID }, not ${shown(input)}`,
    },
  )
  .meta({ description: "{ signed: KEY } or { principal: SPIFFE_ID }." });
export type Trust = z.infer<typeof Trust>;

export const Overrides = z
  .strictObject({
    header: HeaderName.default(HEADER.override),
    trust: z.array(Trust).min(1),
  })
  .meta({ description: "Who may force an arm; without this section nobody may." });
export type Overrides = z.infer<typeof Overrides>;
