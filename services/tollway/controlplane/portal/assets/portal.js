// What htmx does not do: the menu on phones, copying, forms that are sent once, and the playground's stream.
"use strict";

document.documentElement.classList.add("js");

document.addEventListener("click", (event) => {
  const toggle = event.target.closest("[data-menu]");
  if (toggle) {
    const open = document.getElementById("menu").classList.toggle("open");
    toggle.setAttribute("aria-expanded", String(open));
  }
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    copyText(document.getElementById(copy.dataset.copy), copy);
  }
});

function copyText(source, button) {
  const said = (text) => {
    document.getElementById("spoken").textContent = text;
    button.textContent = text;
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  };
  const selected = () => {
    // Without a secure address there is no clipboard: what is to be copied is selected.
    const range = document.createRange();
    range.selectNodeContents(source);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    said("Selected");
  };
  if (!navigator.clipboard) {
    selected();
    return;
  }
  navigator.clipboard.writeText(source.textContent).then(() => said("Copied"), selected);
}

// After a page was swapped, the keyboard and the screen reader are at its beginning.
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.detail.target === document.body) {
    const first = document.querySelector("[role=alert]") || document.getElementById("main");
    if (first) {
      first.setAttribute("tabindex", "-1");
      first.focus({ preventScroll: true });
    }
    scrollTo(0, 0);
  }
});

// A form that is on its way cannot be sent again.
document.addEventListener("htmx:beforeRequest", (event) => setDisabled(event.detail.elt, true));
document.addEventListener("htmx:afterRequest", (event) => setDisabled(event.detail.elt, false));

function setDisabled(form, state) {
  if (form.tagName === "FORM") {
    for (const button of form.querySelectorAll("button")) {
      button.disabled = state;
    }
  }
}

document.addEventListener("submit", (event) => {
  if (event.target.id === "playground") {
    event.preventDefault();
    play(event.target);
  }
});

async function play(form) {
  const answer = document.getElementById("answer");
  const state = document.getElementById("answer-state");
  setDisabled(form, true);
  answer.textContent = "";
  state.textContent = "Waiting for the model ...";
  document.getElementById("answer-panel").classList.remove("hidden");
  try {
    const response = await fetch("/playground/stream", { method: "POST", body: new URLSearchParams(new FormData(form)) });
    if (response.redirected) {
      location.assign("/auth/login");
      return;
    }
    if (!response.ok) {
      const html = (response.headers.get("content-type") || "").startsWith("text/html");
      state.textContent = html ? "This did not work. Reload the page and try again." : await response.text();
      return;
    }
    const failed = await readEvents(response.body.getReader(), (text) => { answer.textContent += text; });
    state.textContent = failed || "The answer is complete.";
  } catch {
    state.textContent = "The connection was lost.";
  } finally {
    setDisabled(form, false);
  }
}

// Server-sent events with the chunks of a chat completion; returns what went wrong in them, or nothing.
async function readEvents(reader, show) {
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    rest += done ? decoder.decode() + "\n" : decoder.decode(value, { stream: true });
    const lines = rest.split(/\r?\n/);
    rest = lines.pop();
    for (const line of lines) {
      const data = line.startsWith("data:") ? line.slice(5).trim() : "";
      if (!data || data === "[DONE]") {
        continue;
      }
      const chunk = JSON.parse(data);
      if (chunk.error) {
        return chunk.error.message;
      }
      for (const choice of chunk.choices || []) {
        show((choice.delta && choice.delta.content) || "");
      }
    }
    if (done) {
      return "";
    }
  }
}
