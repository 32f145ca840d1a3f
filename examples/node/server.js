import { createServer } from "node:http";
import mime from "mime";

const server = createServer((request, response) => {
  const path = new URL(request.url, "http://app").pathname;
  if (path === "/") {
    response.writeHead(200, { "content-type": mime.getType("txt") }).end("Hello from Node\n");
  } else {
    response.writeHead(404, { "content-type": mime.getType("json") }).end(JSON.stringify({ error: "not found" }));
  }
});

server.listen(process.env.PORT, "0.0.0.0");
process.on("SIGTERM", () => server.close(() => process.exit(0)));
