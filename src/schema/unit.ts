import { z } from "zod";
import { shown } from "./shape-issues.js";
import { HeaderName } from "./values.js";

/** Where one piece of request context comes from. */
export const Source = z
  .union(
    [
      z.strictObject({ header: HeaderName }),
      z.strictObject({
        cookie: z
          .string()
          .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/, {
            error: ({ input }) =>
              `cookie name ${shown(input)} is not an HTTP token: use letters, digits and dashes`,
          })
          .meta({ description: "Name of a cookie." }),
      }),
    ],
    { error: ({ input }) => `must be { header: NAME } or { cookie: NAME }, not ${shown(input)}` },
  )
  .meta({ description: "`{ header: NAME }` or `{ cookie: NAME }`." });
export type Source = z.infer<typeof Source>;

export const Unit = z
  .strictObject({
    from: z
      .array(Source)
      .min(1)
      .meta({ description: "Sources in order; the first one that is present wins." }),
  })
  .meta({ description: "Who is randomised or limited: a user, a tenant, a session." });
export type Unit = z.infer<typeof Unit>;

const Attribute = z
  .strictObject({
    from: z.array(Source).min(1).meta({ description: "Sources in order; the first present wins." }),
    type: z
      .enum(["string", "number", "bool"])
      .default("string")
      .meta({ description: "How the text is read; text that cannot be read is an absent value." }),
  })
  .meta({ description: "One attribute that CEL expressions may read." });
export type Attribute = z.infer<typeof Attribute>;

const attributes = (what: string) =>
  z
    .record(
      z.string().regex(/^[a-z][A-Za-z0-9_]{0,62}$/, {
        error: ({ input }) =>
          `attribute ${shown(input)} must match [a-z][A-Za-z0-9_]*, at most 63 characters: CEL reads it as ${what}.NAME`,
      }),
      Attribute,
    )
    .default({})
    .meta({ description: `Attributes readable as ${what}.NAME in CEL.` });

export const Context = z
  .strictObject({
    device: attributes("device"),
    geo: attributes("geo"),
    features: attributes("features"),
  })
  .prefault({})
  .meta({
    description:
      "Declares device.*, geo.* and features.* for CEL. device.mobile (bool) and device.platform (string) are built in, from the client hints sec-ch-ua-mobile and sec-ch-ua-platform, else from user-agent.",
  });
export type Context = z.infer<typeof Context>;
