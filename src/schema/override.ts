import { z } from "zod";
import { HEADER } from "./headers.js";
import { HeaderName, Name } from "./values.js";

export const Trust = z
  .union([
    z.strictObject({
      signed: Name.meta({
        description: "Name of an HMAC key given to the process (--override-key NAME=FILE).",
      }),
    }),
    z.strictObject({
      principal: z
        .string()
        .regex(/^spiffe:\/\/[^\s*]+\*?$/, {
          error: ({ input }) =>
            `principal ${JSON.stringify(input)} must be a SPIFFE id, with at most one "*" at the end`,
        })
        .meta({
          description: "SPIFFE id of the caller as mTLS proved it; a trailing * matches any rest.",
        }),
    }),
  ])
  .meta({ description: "{ signed: KEY } or { principal: SPIFFE_ID }." });
export type Trust = z.infer<typeof Trust>;

export const Overrides = z
  .strictObject({
    header: HeaderName.default(HEADER.override),
    trust: z.array(Trust).min(1),
  })
  .meta({ description: "Who may force an arm; without this section nobody may." });
export type Overrides = z.infer<typeof Overrides>;
