Bun.serve({ port: process.env.PORT, hostname: "0.0.0.0", fetch: () => new Response("Hello from Bun\n") });
