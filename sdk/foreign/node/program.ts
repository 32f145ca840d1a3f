// What a program does with the generated client, as JSON.

import { type ErrorAnswer, projectsCreate, projectsGet, projectsList } from "./client";
import { createClient } from "./client/client";

async function main(): Promise<void> {
  const client = createClient({ baseUrl: process.env.API ?? "", auth: () => process.env.TOKEN });
  const made = await projectsCreate({ client, body: { name: "from-node" }, throwOnError: true });
  const listed = await projectsList({ client, query: { limit: 5 }, throwOnError: true });
  const refused = await projectsGet({ client, path: { id: "missing" } });
  const error: ErrorAnswer | undefined = refused.error;
  const names: string[] = listed.data.data.map(project => project.name);
  console.log(JSON.stringify({ id: made.data.data.id, names, error: [error?.error.code, error?.meta.requestId] }));
}

void main();
