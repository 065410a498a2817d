import { istioTools } from "./istio-tools.js";

/** Before any file of the project runs: one message when there is nothing to build with. */
export default async function setup(): Promise<void> {
  await istioTools(console.log);
}
