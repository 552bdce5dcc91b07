// The official npm client of Anthropic through the gateway, against a model of each kind of provider. See sections.mjs.
import Anthropic from "@anthropic-ai/sdk";
import { betaZodTool } from "@anthropic-ai/sdk/helpers/beta/zod";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { z } from "zod";
import { key, models, origin, print, recorded, section, thrown } from "./sections.mjs";

const client = new Anthropic({ baseURL: origin, apiKey: key, maxRetries: 0, fetch: recorded });
const bearer = new Anthropic({ baseURL: origin, apiKey: null, authToken: key, maxRetries: 0, fetch: recorded });
const stranger = client.withOptions({ apiKey: "sk-tw-00000000-wrong" });
const patient = client.withOptions({ maxRetries: 2 });
const QUESTION = "What is the capital of France?";
const CALL = 'Please call weather {"city":"Paris"} now';
const Trip = z.object({ city: z.string(), days: z.number(), kind: z.enum(["work", "leisure"]) });
const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };

const asked = (model, content, more = {}) => ({
  model,
  max_tokens: 200,
  messages: [{ role: "user", content }],
  ...more,
});
const shown = ({ type, role, content, stop_reason, usage }) => ({ type, role, content, stop_reason, usage });
const texts = (message) => message.content.filter((block) => block.type === "text").map((block) => block.text);

// A stream through the helper: what its listeners heard, its events in their order, and the message it ended with.
async function streamed(wish) {
  const heard = { text: "", thinking: "", signature: "", json: "", events: [] };
  const stream = client.messages.stream(wish);
  stream.on("text", (delta) => (heard.text += delta));
  stream.on("thinking", (delta) => (heard.thinking += delta));
  stream.on("signature", (signature) => (heard.signature = signature));
  stream.on("inputJson", (delta) => (heard.json += delta));
  stream.on("streamEvent", (event) => heard.events.push(event.type));
  const final = await stream.finalMessage();
  return { ...heard, final };
}

async function messages(model) {
  const wish = asked(model, QUESTION, { system: "Be brief.", metadata: { user_id: "ada" } });
  const plain = await client.messages.create(wish);
  const { final, ...heard } = await streamed(wish);
  const raw = [];
  for await (const event of await client.messages.create({ ...wish, stream: true })) raw.push(event.type);
  const limited = await client.messages.create({ ...wish, max_tokens: 2 });
  const stopped = await client.messages.create({ ...wish, stop_sequences: ["capital"] });
  return {
    plain: shown(plain),
    final: shown(final),
    heard,
    raw,
    request_id: plain._request_id,
    limited: limited.stop_reason,
    stopped: { reason: stopped.stop_reason, sequence: stopped.stop_sequence, text: texts(stopped).join("") },
    auth_token: texts(await bearer.messages.create(wish)),
  };
}

async function tools(model) {
  const wish = asked(model, CALL, { tools: [{ name: "weather", description: "The weather", input_schema: schema }] });
  const found = {};
  for (const [name, get] of [
    ["plain", async () => ({ final: await client.messages.create(wish) })],
    ["streamed", () => streamed(wish)],
  ]) {
    const { final, json } = await get();
    const call = final.content.find((block) => block.type === "tool_use");
    const results = [{ type: "tool_result", tool_use_id: call.id, content: [{ type: "text", text: "sunny" }] }];
    const answer = await client.messages.create({
      ...wish,
      messages: [
        ...wish.messages,
        { role: "assistant", content: final.content },
        { role: "user", content: [...results, { type: "text", text: "So what?" }] },
      ],
    });
    const { name: tool, input } = call;
    found[name] = { stop: final.stop_reason, tool, input, json, answer: texts(answer), end: answer.stop_reason };
  }
  return found;
}

// Two calls in one answer, run by the client's own loop.
async function toolRunner(model, stream) {
  const calls = [];
  const weather = betaZodTool({
    name: "weather",
    description: "The weather",
    inputSchema: z.object({ city: z.string() }),
    run: (input) => {
      calls.push(input.city);
      return "sunny";
    },
  });
  const content = 'Please call weather {"city":"Paris"} and call weather {"city":"Rome"}';
  const runner = client.beta.messages.toolRunner({ ...asked(model, content), tools: [weather], stream });
  if (stream) for await (const turn of runner) await turn.finalMessage();
  const final = await runner.runUntilDone();
  return { calls, stop: final.stop_reason };
}

async function parse(model) {
  const output_config = { format: zodOutputFormat(Trip) };
  const answer = await client.messages.parse(asked(model, "a trip", { output_config }));
  return answer.parsed_output;
}

const thought = { thinking: { type: "enabled", budget_tokens: 1024 }, max_tokens: 2000 };

async function secondTurn(model, first) {
  return client.messages.create({
    ...asked(model, QUESTION, thought),
    messages: [
      { role: "user", content: QUESTION },
      { role: "assistant", content: first.content },
      { role: "user", content: "And of Italy?" },
    ],
  });
}

async function thinking(model) {
  const wish = asked(model, QUESTION, thought);
  const plain = await client.messages.create(wish);
  const { final, ...heard } = await streamed(wish);
  const second = await secondTurn(model, final);
  // The conversation goes on with a model of another kind of provider, as when a user switches models.
  const other = await secondTurn(model === "claude" ? "thinking-hub" : "claude", final);
  return { plain: shown(plain), final: shown(final), heard, second: shown(second), other: texts(other) };
}

async function counted(model) {
  const wish = { model, system: "Be brief.", messages: [{ role: "user", content: QUESTION }] };
  return (await client.messages.countTokens(wish)).input_tokens;
}

async function abort(model) {
  const stream = client.messages.stream(asked(`slow-${model}`, QUESTION));
  stream.once("text", () => stream.abort());
  return thrown(() => stream.finalMessage());
}

async function errors(model) {
  const ask = (name) => () => client.messages.create(asked(`${name}-${model}`, QUESTION));
  const stream = (name) => () => client.messages.stream(asked(`${name}-${model}`, QUESTION)).finalMessage();
  return {
    limited: await thrown(ask("limited")),
    failing: await thrown(ask("failing")),
    refused: await thrown(ask("refused")),
    broken: await thrown(stream("broken")),
    cut: await thrown(stream("cut")),
    // Nothing is gained by sending this again, and the client is told so.
    not_again: await thrown(() => patient.messages.create(asked(`refused-${model}`, QUESTION))),
    wrong_key: await thrown(() => stranger.messages.create(asked(model, QUESTION))),
    unknown_model: await thrown(() => client.messages.create(asked("no-such-model", QUESTION))),
    wrong_type: await thrown(() => client.messages.create(asked(model, 17))),
    no_limit: await thrown(() => client.messages.create(asked(model, QUESTION, { max_tokens: undefined }))),
  };
}

async function listed() {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  const one = await client.models.retrieve("claude");
  return { ids, one, missing: await thrown(() => client.models.retrieve("no-such-model")) };
}

for (const model of models) {
  await section(model, "messages", () => messages(model));
  await section(model, "tools", () => tools(model));
  await section(model, "tool_runner", () => toolRunner(model, false));
  await section(model, "tool_runner_streamed", () => toolRunner(model, true));
  await section(model, "parse", () => parse(model));
  await section(model, "thinking", () => thinking(model === "claude" ? model : `thinking-${model}`));
  await section(model, "counted", () => counted(model));
  await section(model, "errors", () => errors(model));
  await section(model, "abort", () => abort(model));
}
await section("all", "models", listed);
print();
