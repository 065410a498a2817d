import { z } from "zod";
import { Cel, Name } from "./values.js";

export const Residency = z
  .strictObject({
    when: Cel,
    versionsIn: z.array(Name).min(1).meta({ description: "Regions whose versions may serve." }),
  })
  .meta({ description: "Where a request may be served; every rule that applies must be met." });
export type Residency = z.infer<typeof Residency>;
