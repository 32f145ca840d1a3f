// calls.mjs PROJECT ROUNDS CALLS: the medians of each round, as JSON.

import { CygniClient } from "../../sdk/node/dist/esm/index.js";

const [project, rounds, calls] = process.argv.slice(2);
const client = new CygniClient();
const headers = {
  Accept: "application/json",
  "User-Agent": "cygni-node/0.1.0 (node/20.20.2)",
  "X-Cygni-Client": '{"name":"sdk-node","sdk":"node/0.1.0","runtime":"node/20.20.2"}',
  Authorization: `Bearer ${process.env.CYGNI_API_KEY}`,
};
const url = `${process.env.CYGNI_API_URL}/projects/${project}`;

const ways = {
  sdk: async () => (await client.projects.get(project)).id,
  bare: async () => {
    const response = await fetch(url, { headers });
    if (!response.ok) throw new Error(`${url}: ${response.status}`);
    return (await response.json()).data.id;
  },
};

const median = values => values.sort((a, b) => a - b)[values.length >> 1];
const medians = { sdk: [], bare: [] };
for (let number = -1; number < Number(rounds); number++) {
  const times = { sdk: [], bare: [] };
  for (let call = 0; call < Number(calls); call++) {
    for (const [name, way] of Object.entries(ways)) {
      const began = performance.now();
      await way();
      times[name].push(performance.now() - began);
    }
  }
  // the first round warms up
  if (number >= 0) for (const name of Object.keys(ways)) medians[name].push(median(times[name]));
}
console.log(JSON.stringify(medians));
