// What the scripts of the clients share: parts that are recorded each by itself, and every request with its fate.
// Usage of each script: node SCRIPT.mjs, with TOLLWAY_ORIGIN and TOLLWAY_KEY in the environment; it prints JSON.
export const origin = process.env.TOLLWAY_ORIGIN;
export const key = process.env.TOLLWAY_KEY;
export const models = ["gpt", "azure", "claude", "hub", "local", "other"];

const found = { requests: [] };

// `fetch`, remembering the path, the status, and how many upstream requests the gateway says it made.
export async function recorded(input, init) {
  const url = new URL(input.url ?? input);
  if (url.protocol === "data:") return fetch(input, init);
  const request = { method: init?.method ?? "GET", path: url.pathname, status: null, attempts: 0 };
  found.requests.push(request);
  const answer = await fetch(input, init);
  request.status = answer.status;
  request.attempts = Number(answer.headers.get("x-tollway-attempts") ?? 0);
  return answer;
}

// What an error says to the program that catches it.
export function told(error) {
  const { status, code, type, param, message } = error;
  const retryAfter = error.headers?.get?.("retry-after") ?? undefined;
  return { class: error.constructor.name, status, code, type, param, message, retry_after: retryAfter };
}

// Runs one part; what it returns, or what it threw, is printed under these names.
export async function section(model, name, work) {
  found[model] ??= {};
  try {
    found[model][name] = await work();
  } catch (error) {
    found[model][name] = { threw: told(error), stack: error.stack };
  }
}

// What `work` threw, for parts that have to.
export async function thrown(work) {
  try {
    await work();
  } catch (error) {
    return told(error);
  }
  return { class: "none" };
}

export function print() {
  console.log(JSON.stringify(found));
}
