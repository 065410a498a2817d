import { request, type IncomingHttpHeaders } from "node:http";

export type Sent = {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
};

/** One HTTP/1.1 request on a connection of its own, with the path and the headers as they are. */
export function sendRequest(
  port: number,
  path: string,
  options: {
    readonly host?: string;
    readonly method?: string;
    readonly headers?: Readonly<Record<string, string | readonly string[]>>;
    readonly body?: string;
  } = {},
): Promise<Sent> {
  return new Promise((resolve, reject) => {
    const { host = "127.0.0.1", method = "POST", headers = {}, body } = options;
    const mutable = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [
        name,
        typeof value === "string" ? value : [...value],
      ]),
    );
    const outgoing = request(
      { host, port, path, method, headers: mutable, agent: false },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
        response.on("error", reject).on("end", () => {
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text });
        });
      },
    );
    outgoing.on("error", reject).end(body);
  });
}
