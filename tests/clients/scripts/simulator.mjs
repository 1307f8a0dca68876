// Every endpoint of the simulator that the TypeScript SDK covers: one line of JSON for each, with what was wrong.
import Anthropic, { toFile } from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: process.env.CLIENT_URL, apiKey: process.env.CLIENT_KEY, maxRetries: 0 });
const ask = (prompt, more = {}) => ({
  model: process.env.CLIENT_MODEL, max_tokens: 300, messages: [{ role: "user", content: prompt }], ...more,
});
const tools = [{ name: "get_weather", description: "The weather in a city", input_schema: {
  type: "object", properties: { city: { type: "string" } }, required: ["city"] } }];
const all = async (pages) => { const found = []; for await (const one of pages) found.push(one); return found; };

async function tried(name, act) {
  let fault = null;
  try {
    const wrong = await act();
    fault = wrong === true ? null : `not as expected: ${JSON.stringify(wrong)}`;
  } catch (error) {
    fault = `${error.constructor.name}: ${String(error.message).slice(0, 200)}`;
  }
  console.log(JSON.stringify({ name, fault }));
}

await tried("message", async () => {
  const message = await client.messages.create(ask("Hello"));
  return (message.content[0].type === "text" && message.usage.output_tokens > 0 && /^msg_/.test(message.id)) || message;
});
await tried("stream", async () => {
  const stream = client.messages.stream(ask("Write 40 words"));
  let text = "";
  stream.on("text", (piece) => { text += piece; });
  const message = await stream.finalMessage();
  return (message.stop_reason === "end_turn" && text === message.content[0].text) || message;
});
await tried("tool", async () => {
  const message = await client.messages.stream(ask("What is the weather in Paris?", { tools })).finalMessage();
  const block = message.content.find((one) => one.type === "tool_use");
  return (message.stop_reason === "tool_use" && typeof block.input.city === "string") || message;
});
await tried("thinking", async () => {
  const message = await client.messages.stream(
    ask("Think.", { max_tokens: 4000, thinking: { type: "adaptive", display: "summarized" } })).finalMessage();
  return (message.content[0].type === "thinking" && message.content[0].signature.length > 100) || message;
});
await tried("count_tokens", async () => {
  const { messages, model } = ask("Hello");
  const counted = await client.messages.countTokens({ messages, model });
  return counted.input_tokens === 8 || counted;
});
await tried("models", async () => {
  const models = await all(client.models.list({ limit: 3 }));
  const one = await client.models.retrieve("claude-haiku-4-5");
  return (models.length > 10 && one.id === "claude-haiku-4-5-20251001" && one.max_input_tokens === 200000) || one;
});
await tried("batch", async () => {
  const requests = [1, 2, 3].map((n) => ({ custom_id: `item-${n}`, params: ask(`Say ${n}`) }));
  let batch = await client.messages.batches.create({ requests });
  while (batch.processing_status !== "ended") batch = await client.messages.batches.retrieve(batch.id);
  const results = [];
  for await (const line of await client.messages.batches.results(batch.id)) results.push(line);
  const listed = await all(client.messages.batches.list());
  const gone = await client.messages.batches.delete(batch.id);
  return (batch.request_counts.succeeded === 3 && results.length === 3 && listed.length === 1
    && results.every((line) => line.result.message.content[0].text) && gone.type === "message_batch_deleted") || batch;
});
await tried("file", async () => {
  const file = await client.beta.files.upload({ file: await toFile(Buffer.from("A note."), "note.txt", { type: "text/plain" }) });
  const listed = await all(client.beta.files.list());
  const shown = await client.beta.files.retrieveMetadata(file.id);
  const gone = await client.beta.files.delete(file.id);
  return (listed.length === 1 && shown.size_bytes === 7 && gone.id === file.id) || shown;
});
await tried("error", async () => {
  try {
    await client.messages.create(ask("Hello", { model: "claude-none" }));
  } catch (error) {
    return (error instanceof Anthropic.NotFoundError && /^req_/.test(error.requestID)) || String(error);
  }
  return "no error";
});
