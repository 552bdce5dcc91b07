// The official npm client through the gateway: one plain answer and one stream. Prints what it got as JSON.
// Usage: node chat.mjs MODEL, with OPENAI_BASE_URL and OPENAI_API_KEY in the environment.
import OpenAI from "openai";

const client = new OpenAI({ maxRetries: 0 });
const wish = {
  model: process.argv[2],
  messages: [{ role: "user", content: "What is the capital of France?" }],
  temperature: 0,
  max_tokens: 24,
};

const answer = await client.chat.completions.create(wish);
const plain = { text: answer.choices[0].message.content, usage: answer.usage, finish: answer.choices[0].finish_reason };

const streamed = { text: "", usage: null, finish: null, chunks: 0 };
const stream = await client.chat.completions.create({ ...wish, stream: true, stream_options: { include_usage: true } });
for await (const chunk of stream) {
  streamed.chunks += 1;
  streamed.text += chunk.choices[0]?.delta?.content ?? "";
  streamed.finish = chunk.choices[0]?.finish_reason ?? streamed.finish;
  streamed.usage = chunk.usage ?? streamed.usage;
}

console.log(JSON.stringify([plain, streamed]));
