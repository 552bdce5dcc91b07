// The official npm `openai` client through the gateway, against a model of each kind of provider. See sections.mjs.
import OpenAI, { AzureOpenAI, toFile } from "openai";
import { zodResponseFormat, zodResponsesFunction, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import { key, models, origin, print, recorded, section, thrown } from "./sections.mjs";

const client = new OpenAI({ baseURL: `${origin}/v1`, apiKey: key, maxRetries: 0, fetch: recorded });
const azure = new AzureOpenAI({
  endpoint: origin,
  apiKey: key,
  apiVersion: "2024-10-21",
  maxRetries: 0,
  fetch: recorded,
});
const messages = [{ role: "user", content: "What is the capital of France?" }];
const Trip = z.object({ city: z.string(), days: z.number(), kind: z.enum(["work", "leisure"]) });
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const CALL = 'Please call weather {"city":"Paris"} now';

const shown = (completion) => ({
  text: completion.choices[0].message.content,
  finish: completion.choices[0].finish_reason,
  usage: completion.usage,
  request_id: completion._request_id,
});
const response = (answer) => ({
  text: answer.output_text,
  status: answer.status,
  usage: answer.usage,
  types: answer.output.map((item) => item.type),
});

async function chat(api, model) {
  const plain = await api.chat.completions.create({ model, messages });
  const stream = api.chat.completions.stream({ model, messages, stream_options: { include_usage: true } });
  let deltas = "";
  stream.on("content", (delta) => (deltas += delta));
  const final = await stream.finalChatCompletion();
  return { plain: shown(plain), streamed: shown(final), deltas, total: await stream.totalUsage() };
}

async function parse(model) {
  const asked = { model, messages, response_format: zodResponseFormat(Trip, "trip") };
  const plain = await client.chat.completions.parse(asked);
  const streamed = await client.chat.completions.stream(asked).finalChatCompletion();
  return { plain: plain.choices[0].message.parsed, streamed: streamed.choices[0].message.parsed };
}

async function runTools(model, stream) {
  const calls = [];
  const weather = (given) => {
    calls.push(given);
    return "sunny";
  };
  const tool = { name: "weather", description: "The weather", parameters, parse: JSON.parse, function: weather };
  const runner = client.chat.completions.runTools({
    model,
    messages: [{ role: "user", content: CALL }],
    tools: [{ type: "function", function: tool }],
    stream,
  });
  const text = await runner.finalContent();
  return { calls, text, roles: runner.messages.map((message) => message.role) };
}

async function completions(model) {
  const plain = await client.completions.create({ model, prompt: "hi" });
  let streamed = "";
  for await (const chunk of await client.completions.create({ model, prompt: "hi", stream: true })) {
    streamed += chunk.choices[0]?.text ?? "";
  }
  return { plain: plain.choices[0].text, streamed };
}

async function responses(model) {
  const first = await client.responses.create({ model, input: "My name is Ada." });
  const kept = await client.responses.retrieve(first.id);
  const second = await client.responses.create({ model, input: "Who am I?", previous_response_id: first.id });
  const items = [];
  for await (const item of client.responses.inputItems.list(second.id)) {
    items.push({ type: item.type, role: item.role, content: item.content });
  }
  await client.responses.delete(first.id);
  const gone = await thrown(() => client.responses.retrieve(first.id));
  const orphan = await thrown(() =>
    client.responses.create({ model, input: "And now?", previous_response_id: first.id }),
  );
  return { first: response(first), kept: response(kept), second: response(second), items, gone, orphan };
}

async function responsesStream(model) {
  const events = [];
  const stream = client.responses.stream({ model, input: "My name is Ada." });
  stream.on("event", (event) => events.push([event.type, event.sequence_number]));
  let deltas = "";
  stream.on("response.output_text.delta", (event) => (deltas += event.delta));
  const final = await stream.finalResponse();
  const kept = await client.responses.retrieve(final.id);
  return { final: response(final), deltas, events, kept: response(kept) };
}

async function responsesTools(model) {
  const tools = [zodResponsesFunction({ name: "weather", parameters: z.object({ city: z.string() }) })];
  const asked = await client.responses.parse({ model, input: CALL, tools });
  const call = asked.output.find((item) => item.type === "function_call");
  const output = [{ type: "function_call_output", call_id: call.call_id, output: "sunny" }];
  const answer = await client.responses.create({ model, input: output, tools, previous_response_id: asked.id });
  const trip = await client.responses.parse({ model, input: "a trip", text: { format: zodTextFormat(Trip, "trip") } });
  return { arguments: call.parsed_arguments, answer: response(answer), parsed: trip.output_parsed };
}

async function embeddings(api, model) {
  const input = ["a word", "another"];
  const standard = await api.embeddings.create({ model, input });
  const floats = await api.embeddings.create({ model, input, encoding_format: "float" });
  const base64 = await api.embeddings.create({ model, input, encoding_format: "base64" });
  return {
    standard: standard.data.map((item) => Array.from(item.embedding)),
    floats: floats.data.map((item) => item.embedding),
    base64: base64.data.map((item) => typeof item.embedding),
    usage: standard.usage,
  };
}

async function media(model) {
  const image = await client.images.generate({ model, prompt: "a gate", response_format: "b64_json" });
  const moderation = await client.moderations.create({ model, input: "hello" });
  const speech = await client.audio.speech.create({ model, voice: "alloy", input: "hello" });
  const audio = Buffer.from(await speech.arrayBuffer());
  const transcript = await client.audio.transcriptions.create({ model, file: await toFile(audio, "hello.mp3") });
  return {
    image: image.data[0].b64_json.length,
    flagged: moderation.results[0].flagged,
    audio: audio.length,
    transcript: transcript.text,
  };
}

async function abort(model) {
  const stream = await client.chat.completions.create({ model: `slow-${model}`, messages, stream: true });
  let chunks = 0;
  for await (const _chunk of stream) {
    chunks += 1;
    if (chunks === 5) stream.controller.abort();
  }
  const helper = client.responses.stream({ model: `slow-${model}`, input: "hi" });
  helper.once("response.output_text.delta", () => helper.abort());
  const aborted = await thrown(() => helper.finalResponse());
  return { chunks, aborted };
}

async function errors(model) {
  const ask = (name) => () => client.chat.completions.create({ model: `${name}-${model}`, messages });
  const stranger = client.withOptions({ apiKey: "sk-tw-00000000-wrong" });
  const patient = client.withOptions({ maxRetries: 2 });
  return {
    // Nothing is gained by sending this again, and the client is told so.
    not_again: await thrown(() => patient.chat.completions.create({ model: `refused-${model}`, messages })),
    limited: await thrown(ask("limited")),
    failing: await thrown(ask("failing")),
    refused: await thrown(ask("refused")),
    broken: await thrown(() =>
      client.chat.completions.stream({ model: `broken-${model}`, messages }).finalChatCompletion(),
    ),
    cut: await thrown(() => client.chat.completions.stream({ model: `cut-${model}`, messages }).finalChatCompletion()),
    broken_responses: await thrown(() =>
      client.responses.stream({ model: `broken-${model}`, input: "hi" }).finalResponse(),
    ),
    wrong_key: await thrown(() => stranger.chat.completions.create({ model, messages })),
    unknown_model: await thrown(() => client.chat.completions.create({ model: "no-such-model", messages })),
    wrong_type: await thrown(() => client.chat.completions.create({ model, messages: "hello" })),
    unknown_endpoint: await thrown(() => client.get("/no-such-endpoint")),
    unknown_response: await thrown(() => client.responses.retrieve("resp_no_such_response")),
  };
}

for (const model of models) {
  await section(model, "chat", () => chat(client, model));
  await section(model, "parse", () => parse(model));
  await section(model, "tools", () => runTools(model, false));
  await section(model, "tools_streamed", () => runTools(model, true));
  await section(model, "completions", () => completions(model));
  await section(model, "responses", () => responses(model));
  await section(model, "responses_stream", () => responsesStream(model));
  await section(model, "responses_tools", () => responsesTools(model));
  await section(model, "azure_chat", () => chat(azure, model));
  await section(model, "errors", () => errors(model));
  await section(model, "abort", () => abort(model));
  if (model !== "claude") await section(model, "embeddings", () => embeddings(client, model));
}
await section("gpt", "media", () => media("gpt"));
await section("azure", "azure_embeddings", () => embeddings(azure, "azure"));
await section("azure", "azure_responses", async () =>
  response(await azure.responses.create({ model: "azure", input: "hi" })),
);
await section("all", "models", async () => (await client.models.list()).data.map((model) => model.id));
print();
