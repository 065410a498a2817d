import type { SampleFile } from "./sample-files.js";

export type Answer = {
  readonly status: number;
  /** Version that served; empty when the request was refused. */
  readonly version: string;
  readonly label: string;
  readonly headers: Headers;
};

type InferReply = {
  readonly model_version?: string;
  readonly outputs?: readonly { readonly name: string; readonly data: readonly unknown[] }[];
};

/** Sends one file as a plain body to the model behind the mesh. */
export async function classify(
  url: string,
  file: SampleFile,
  headers: Readonly<Record<string, string>>,
): Promise<Answer> {
  const response = await fetch(`${url}/v2/models/magika/infer`, {
    method: "POST",
    headers: { "content-type": "application/octet-stream", ...headers },
    body: file.bytes,
  });
  const reply = (await response.json()) as InferReply;
  const label = reply.outputs?.find(({ name }) => name === "label")?.data[0];
  return {
    status: response.status,
    version: reply.model_version ?? "",
    label: typeof label === "string" ? label : "",
    headers: response.headers,
  };
}

/** Runs `work` over all items, at most `width` at a time, and keeps their order. */
export async function inParallel<Item, Result>(
  items: readonly Item[],
  width: number,
  work: (item: Item) => Promise<Result>,
): Promise<readonly Result[]> {
  const results: Result[] = [];
  const pending = items.entries();
  const worker = async () => {
    for (const [at, item] of pending) results[at] = await work(item);
  };
  await Promise.all(Array.from({ length: width }, worker));
  return results;
}
