// What the official npm client makes of the gateway's errors: case -> class, status, code, as JSON.
// Usage: node errors.mjs MODEL, with OPENAI_BASE_URL and OPENAI_API_KEY in the environment.
import OpenAI from "openai";

const model = process.argv[2];
const client = new OpenAI({ maxRetries: 0 });
const messages = [{ role: "user", content: "hello" }];

const cases = {
  wrong_key: () =>
    new OpenAI({ maxRetries: 0, apiKey: "sk-tw-00000000-wrong" }).chat.completions.create({ model, messages }),
  unknown_model: () => client.chat.completions.create({ model: "no-such-model", messages }),
  wrong_type: () => client.chat.completions.create({ model, messages: "hello" }),
  unknown_endpoint: () => client.get("/no-such-endpoint"),
};

const found = {};
for (const [name, call] of Object.entries(cases)) {
  try {
    await call();
    found[name] = { class: "none" };
  } catch (error) {
    found[name] = { class: error.constructor.name, status: error.status, code: error.code, type: error.type };
  }
}
console.log(JSON.stringify(found));
