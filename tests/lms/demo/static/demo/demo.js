"use strict";

/* Forms post to the platform's own APIs; what these answer is shown in place. */

function readError(status, text) {
  try {
    const answer = JSON.parse(text);
    if (answer.value) return answer.value;
    const messages = Object.values(answer).flat().map((error) => error && error.user_message).filter(Boolean);
    if (messages.length) return messages.join(" ");
  } catch (error) {
    if (text && text.length < 200 && !text.includes("<")) return text;
  }
  return `The LMS answered ${status}.`;
}

async function submit(form, button) {
  const data = new URLSearchParams(new FormData(form));
  if (button && button.name) data.set(button.name, button.value);
  const response = await fetch(form.action, { method: "POST", body: data, headers: csrf(form) });
  const text = await response.text();
  if (response.ok && !text.includes('"error_message"')) {
    location.assign(form.dataset.next || location.pathname);
    return;
  }
  const error = form.querySelector(".error");
  if (error) {
    error.textContent = readError(response.status, text);
    error.hidden = false;
  }
}

function csrf(form) {
  return { "X-CSRFToken": form.elements.csrfmiddlewaretoken.value };
}

for (const form of document.querySelectorAll("form[data-api]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit(form, event.submitter);
  });
}

for (const link of document.querySelectorAll("a[data-follow]")) {
  link.addEventListener("click", async (event) => {
    event.preventDefault();
    await fetch(link.href);
    location.reload();
  });
}

/* The inbox: asks every second for what came since. */

const HINTS = {
  healthy: "Answers 200 at once.",
  slow: "Answers 200 after 3 seconds. The LMS does not wait for it.",
  failing: "Answers 500. Deliveries stay in the outbox and are tried again.",
  dead: "Closes every connection. Deliveries stay in the outbox and are tried again.",
};

function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function signature(verified) {
  if (verified === null) return element("span", "badge", "unsigned");
  return element("span", verified ? "badge ok" : "badge bad", verified ? "✓ signature verified" : "✗ signature does not verify");
}

function headerTable(headers) {
  const table = element("table", "headers");
  for (const [name, value] of Object.entries(headers)) {
    const row = table.insertRow();
    row.append(element("th", "", name), element("td", "", value));
  }
  return table;
}

function highlight(text) {
  const pre = element("pre", "body");
  const token = /("(?:\\.|[^"\\])*")(\s*:)?|\b(true|false|null)\b|-?\b\d+(?:\.\d+)?\b/g;
  let last = 0;
  for (const match of text.matchAll(token)) {
    pre.append(text.slice(last, match.index));
    const kind = match[2] ? "key" : match[1] ? "string" : "literal";
    pre.append(element("span", kind, match[1] || match[0]));
    if (match[2]) pre.append(match[2]);
    last = match.index + match[0].length;
  }
  pre.append(text.slice(last));
  return pre;
}

function drawEntry(entry) {
  const item = element("li", entry.ok ? "entry" : "entry refused");
  const details = element("details");
  const summary = element("summary");
  const head = element("span", "head");
  head.append(element("span", "dot"), element("strong", "event", entry.event));
  const time = element("time", "", new Date(entry.time).toLocaleTimeString([], { hour12: false }));
  time.dateTime = entry.time;
  head.append(time);
  const facts = element("span", "facts");
  facts.append(signature(entry.verified));
  if (entry.attempt > 1) facts.append(element("span", "badge retry", `attempt ${entry.attempt}`));
  facts.append(element("span", "answer", entry.answer));
  summary.append(head, facts);
  details.append(summary, element("p", "type", entry.event_type));
  details.append(element("h4", "", "Headers"), headerTable(entry.headers));
  details.append(element("h4", "", `Body, ${entry.size} bytes`), highlight(entry.body));
  item.append(details);
  return item;
}

function showOutbox(root, outbox) {
  const set = (name, value) => { root.querySelector(`[data-${name}]`).textContent = value; };
  set("waiting", outbox.waiting);
  set("delivered", outbox.delivered);
  set("failed", outbox.failed);
  const seconds = outbox.next_in;
  set("next", seconds === null ? "–" : seconds < 1 ? "now" : `in ${Math.round(seconds)} s`);
}

function showMood(root, mood) {
  for (const button of root.querySelectorAll("[data-moods] button")) {
    button.setAttribute("aria-pressed", String(button.value === mood));
  }
  root.dataset.mood = mood;
  root.querySelector("[data-hint]").textContent = HINTS[mood];
}

function startInbox(root) {
  const list = root.querySelector("[data-entries]");
  const live = root.querySelector("[data-live]");
  let run = null;
  let last = 0;

  async function poll() {
    const response = await fetch(`${root.dataset.inbox}?after=${last}`);
    const state = await response.json();
    if (run !== null && run !== state.run) {
      list.replaceChildren();
      [run, last] = [state.run, 0];
      return;
    }
    run = state.run;
    for (const entry of state.entries) {
      const item = drawEntry(entry);
      if (last) item.classList.add("new");
      list.prepend(item);
    }
    if (state.entries.length) last = state.entries.at(-1).number;
    root.querySelector("[data-empty]").hidden = list.childElementCount > 0;
    showOutbox(root, state.outbox);
    showMood(root, state.mood);
  }

  async function tick() {
    try {
      await poll();
      live.textContent = "live";
      live.classList.remove("off");
    } catch (error) {
      live.textContent = "offline";
      live.classList.add("off");
    }
    setTimeout(tick, 1000);
  }

  root.querySelector("[data-moods]").addEventListener("submit", async (event) => {
    event.preventDefault();
    const mood = event.submitter.value;
    await fetch(event.target.action, { method: "POST", body: new URLSearchParams({ mood }), headers: csrf(event.target) });
    showMood(root, mood);
  });
  tick();
}

document.querySelectorAll("[data-inbox]").forEach(startInbox);
