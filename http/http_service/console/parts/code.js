/** The playground's request as a program: curl, Python, JavaScript. Pure. */

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function curl(url, body) {
  return `curl ${url}/v1/chat/completions \\\n  -H 'content-type: application/json' \\\n  -H "authorization: Bearer $KEY" \\\n  -d ${quoted(JSON.stringify(body, null, 2))}`;
}

/** A JSON value as Python writes it. */
function python(value, indent = "") {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const inner = `${indent}    `;
  const parts = Array.isArray(value)
    ? value.map((each) => `${inner}${python(each, inner)},`)
    : Object.entries(value).map(([name, each]) => `${inner}${JSON.stringify(name)}: ${python(each, inner)},`);
  const [left, right] = Array.isArray(value) ? "[]" : "{}";
  return parts.length ? `${left}\n${parts.join("\n")}\n${indent}${right}` : left + right;
}

function openai(url, body) {
  const given = Object.entries(body).map(([name, value]) => `    ${name}=${python(value, "    ")},`);
  const shown = body.stream
    ? 'for chunk in answer:\n    if chunk.choices:\n        print(chunk.choices[0].delta.content or "", end="", flush=True)'
    : "print(answer.choices[0].message.content)";
  return `import os\nfrom openai import OpenAI\n\nclient = OpenAI(base_url=${JSON.stringify(`${url}/v1`)}, api_key=os.environ.get("KEY", "none"))\nanswer = client.chat.completions.create(\n${given.join("\n")}\n)\n${shown}`;
}

function js(url, body) {
  return `const answer = await fetch(${JSON.stringify(`${url}/v1/chat/completions`)}, {\n  method: "POST",\n  headers: { "content-type": "application/json", authorization: \`Bearer \${process.env.KEY}\` },\n  body: JSON.stringify(${JSON.stringify(body, null, 2).replaceAll("\n", "\n  ")}),\n});\nfor await (const part of answer.body.pipeThrough(new TextDecoderStream())) process.stdout.write(part);`;
}

export const LANGUAGES = { curl, python: openai, js };
