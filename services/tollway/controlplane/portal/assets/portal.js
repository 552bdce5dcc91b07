// What htmx does not do: the menu on phones, copying, forms that are sent once, and the playground's stream.
"use strict";

document.documentElement.classList.add("js");

// On phones a table becomes blocks: its cells are told the names of their columns, and it stays a table to be read.
function nameCells(place) {
  for (const table of place.querySelectorAll(".scroll > table:not(.rows)")) {
    const names = [...table.querySelectorAll("thead th")].map((cell) => cell.textContent);
    table.classList.add("rows");
    table.setAttribute("role", "table");
    table.querySelectorAll("thead, tbody, tfoot").forEach((part) => part.setAttribute("role", "rowgroup"));
    table.querySelectorAll("thead th").forEach((cell) => cell.setAttribute("role", "columnheader"));
    for (const row of table.rows) {
      row.setAttribute("role", "row");
      [...row.cells].forEach((cell, number) => {
        if (cell.tagName === "TD") {
          cell.setAttribute("role", "cell");
          cell.dataset.column = names[number] || "";
          cell.classList.toggle("none", !cell.textContent.trim());
          const parts = [...cell.childNodes].filter((part) => part.textContent.trim());
          cell.classList.toggle("block", parts.length > 1 || cell.querySelector("details, code, progress") !== null);
        } else if (cell.closest("thead") === null) {
          cell.setAttribute("role", "rowheader");
        }
      });
    }
  }
}

nameCells(document);
document.addEventListener("htmx:load", (event) => nameCells(event.detail.elt.parentNode || document));

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
    const next = document.querySelector("main [autofocus]");
    if (next) {
      next.focus({ preventScroll: true });
      next.scrollIntoView({ block: "center" });
      return;
    }
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

let trying = null;

document.addEventListener("click", (event) => {
  if (event.target.id === "stop" && trying) {
    trying.abort();
  }
});

async function play(form) {
  const answer = document.getElementById("answer");
  const state = document.getElementById("answer-state");
  const stop = document.getElementById("stop");
  const copy = document.getElementById("answer-copy");
  const began = performance.now();
  const say = (text, failed) => {
    state.textContent = text;
    state.className = failed ? "error" : "soft";
  };
  trying = new AbortController();
  setDisabled(form, true);
  stop.disabled = false;
  stop.classList.remove("hidden");
  answer.textContent = "";
  answer.classList.remove("hidden");
  say("Waiting for the model ...");
  try {
    const body = new URLSearchParams(new FormData(form));
    const response = await fetch("/playground/stream", { method: "POST", body, signal: trying.signal });
    if (response.redirected) {
      location.assign("/auth/login?return_to=%2Fplayground");
      return;
    }
    if (!response.ok) {
      const html = (response.headers.get("content-type") || "").startsWith("text/html");
      say(html ? "This did not work. Reload the page and try again." : await response.text(), true);
      return;
    }
    const end = await readEvents(response.body.getReader(), (text) => { answer.textContent += text; });
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    const used = end.usage ? `: ${end.usage.prompt_tokens} tokens in, ${end.usage.completion_tokens} tokens out, ${seconds} s` : "";
    say(end.problem || `The answer is complete${used}.`, end.problem);
  } catch (error) {
    say(error.name === "AbortError" ? "Stopped." : "The connection was lost.", error.name !== "AbortError");
  } finally {
    trying = null;
    setDisabled(form, false);
    stop.classList.add("hidden");
    answer.classList.toggle("hidden", !answer.textContent);
    copy.classList.toggle("hidden", !answer.textContent);
  }
}

// Server-sent events with the chunks of a chat completion; returns what was used and what went wrong.
async function readEvents(reader, show) {
  const decoder = new TextDecoder();
  const end = { usage: null, problem: "" };
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    rest += done ? decoder.decode() + "\n" : decoder.decode(value, { stream: true });
    const lines = rest.split(/\r?\n/);
    rest = lines.pop();
    for (const line of lines) {
      const data = line.startsWith("data:") ? line.slice(5).trim() : "";
      if (data === "[DONE]") {
        return end;
      }
      if (!data) {
        continue;
      }
      const chunk = JSON.parse(data);
      if (chunk.error) {
        return { ...end, problem: chunk.error.message };
      }
      end.usage = chunk.usage || end.usage;
      for (const choice of chunk.choices || []) {
        show((choice.delta && choice.delta.content) || "");
      }
    }
    if (done) {
      return { ...end, problem: "The answer broke off before its end." };
    }
  }
}
