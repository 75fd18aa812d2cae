// Comfort only: every page is read without this file, but for the live tail.
"use strict";

const store = {
  get(name) { try { return localStorage.getItem(name); } catch { return null; } },
  set(name, value) { try { localStorage.setItem(name, value); } catch { /* not kept, then */ } },
};
const find = (selector, from = document) => from.querySelector(selector);
const all = (selector, from = document) => [...from.querySelectorAll(selector)];
const make = (tag, classes, text) => {
  const made = document.createElement(tag);
  made.className = classes;
  made.textContent = text ?? "";
  return made;
};

// Before anything is drawn, so that nothing flashes.
const isDark = () => (document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
if (["dark", "light"].includes(store.get("theme"))) document.documentElement.dataset.theme = store.get("theme");

// --- Times: in the reader's zone, with UTC beside ------------------------------------------------------------------

const two = (number) => String(number).padStart(2, "0");
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "your zone";
const inUtc = () => zone === "UTC" || store.get("zone") === "utc";
const dayOf = (date) => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
const clockOf = (date) => `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;

function localTime(element) {
  const utc = element.getAttribute("datetime");
  const date = new Date(utc);
  if (Number.isNaN(date.getTime())) return;
  element.dataset.utc ??= element.textContent;
  const fraction = (utc.split(".")[1] ?? "").replace("Z", "");
  const form = element.dataset.form;
  const local = form === "moment" ? `${dayOf(date)} ${clockOf(date)}`
    : form === "full" ? `${dayOf(date)} ${clockOf(date)}.${fraction} (${utc.slice(11, 23)} UTC)`
      : `${clockOf(date)}.${fraction.padEnd(3, "0").slice(0, 3)}`;
  element.textContent = inUtc() ? element.dataset.utc : local;
  element.title = inUtc() && zone !== "UTC" ? `${dayOf(date)} ${clockOf(date)} here` : `${utc} (UTC)`;
}

function showTimes(from = document) {
  all("time[datetime]", from).forEach(localTime);
  for (const list of all(".records:not(.letters)")) {
    all(".day", list).forEach((line) => line.remove());
    let day = "";
    for (const line of all(":scope > .record", list)) {
      const utc = find("time", line)?.getAttribute("datetime");
      const own = !utc ? day : inUtc() ? utc.slice(0, 10) : dayOf(new Date(utc));
      if (own !== day) (line.previousElementSibling?.matches(".story-of") ? line.previousElementSibling : line).before(make("p", "day", own));
      day = own;
    }
  }
  const said = find("[data-zone-said]");
  if (said) said.textContent = inUtc() ? "Times are UTC." : `Times are of ${zone}; UTC is beside each.`;
  const other = find("[data-zone]");
  if (!other) return;
  other.hidden = zone === "UTC";
  other.textContent = inUtc() ? "show local times" : "show UTC";
}

// --- Strangers' text in lines that the script makes: the same rule as visible.py -----------------------------------

const UNSAFE = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef\ufeff\uffa0\ufff0-\ufffc\ufffe\uffff\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{e00ff}\u{e01f0}-\u{e0fff}\u{f0000}-\u{10ffff}]/gu;
const escaped = (character) => {
  const code = character.codePointAt(0);
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, "0")}`;
  return code < 0x10000 ? `\\u${code.toString(16).padStart(4, "0")}` : `\\U${code.toString(16).padStart(8, "0")}`;
};

function safely(element, text) {
  let end = 0;
  const whole = text.replaceAll("\r\n", "\n");
  for (const found of whole.matchAll(UNSAFE)) {
    element.append(whole.slice(end, found.index), make("span", "unseen", escaped(found[0])));
    end = found.index + found[0].length;
  }
  element.append(whole.slice(end));
  return element;
}

// --- Lines: selecting does not open, fields come when they are wanted, more lines are appended ----------------------

const MORE = 1000;
let reading = false;

async function readPage(url, part) {
  const answer = await fetch(url, part ? { headers: { "X-Shipper-Part": part } } : {});
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

async function bringFields(line) {
  const url = line.dataset.fields;
  if (!url || !line.open) return;
  delete line.dataset.fields;
  try {
    const page = await readPage(url);
    const fields = find(".fields", page);
    if (fields) find(".opened", line).prepend(fields);
    find(".actions", line).append(...all(".panel > .actions > a", page));
  } catch {
    line.dataset.fields = url; // its link still works
  }
}

async function moreLines(link) {
  if (reading) return;
  reading = true;
  const label = link.textContent;
  link.textContent = "reading …";
  try {
    const url = new URL(link.href);
    url.searchParams.set("limit", MORE);
    const part = await readPage(url, "rows");
    const list = find("#records");
    const first = find(".record", part);
    list.append(...find(".records", part).children);
    showTimes(list);
    const next = find("[rel=next]", part);
    if (next) link.href = next.getAttribute("href"); else link.replaceWith(make("span", "quiet", "That is all."));
    first?.querySelector("summary").focus({ preventScroll: true });
    const told = find(".pager .told") ?? link.parentElement?.insertBefore(make("span", "quiet told"), link) ?? make("span");
    told.textContent = `${all(".record", list).length.toLocaleString("en")} are here`;
    link.textContent = label;
  } catch {
    location.href = link.href;
  } finally {
    reading = false;
  }
}

// --- Live tail ------------------------------------------------------------------------------------------------------

const MOST_LIVE = 2000;
const MOST_SEEN = 20_000; // ids; after an interruption 10,000 records come at most
const FIRST_PAUSE = 500, LONGEST_PAUSE = 5000; // milliseconds before connecting again
const LOST = "connection lost, trying again …";

function liveLine(record) {
  const level = /^[a-z]+$/.test(record["log.level"] ?? "") ? record["log.level"] : "";
  const line = make("details", `record new ${level || "none"}`);
  const head = make("summary", "");
  const time = make("time", "", String(record["@timestamp"] ?? "").slice(11, 23));
  time.setAttribute("datetime", record["@timestamp"] ?? "");
  const text = String(record.message ?? "");
  const message = safely(make("span", "message"), text.slice(0, 600));
  if (text.length > 600) message.append(make("span", "more", ` … ${text.length.toLocaleString("en")} characters`));
  const service = String(record["service.name"] ?? record["log.syslog.appname"] ?? "(no app)").slice(0, 200);
  const host = String(record["host.name"] ?? "").slice(0, 200);
  const parts = [time, make("span", `level ${level || "none"}`, level || "–"), safely(make("span", "app"), service), message];
  const request = safely(make("span", "request linked"), String(record["http.request.id"] ?? "").slice(0, 64));
  head.append(...parts, request, safely(make("span", "host"), host));
  const opened = make("div", "opened");
  const links = make("p", "actions");
  const own = (record.actions ?? []).find((action) => action.name === "record")?.url ?? "";
  const story = (record.actions ?? []).find((action) => action.name === "request")?.url ?? "";
  for (const [url, name, mark] of [[own, "This record, and what stands around it", "open"], [story, "The story of its request", "story"]]) {
    if (!/^\/(records|requests)\//.test(url)) continue;
    const link = make("a", "", name);
    link.href = url;
    link.dataset[mark] = "";
    links.append(link);
  }
  opened.append(links);
  line.append(head, opened);
  if (/^\/records\//.test(own)) line.dataset.fields = own;
  localTime(time);
  return line;
}

function listen(live) {
  const list = find(".records", live);
  const state = find("[data-state]", live);
  const button = find("[data-pause]", live);
  let waiting = [], drawn = false, paused = false, taken = 0, skipped = 0, dropped = 0, up = "connecting …";
  const say = () => {
    const parts = [up, `${taken.toLocaleString("en")} records`];
    if (skipped) parts.push(`${skipped.toLocaleString("en")} skipped`);
    if (paused) parts.push(`paused, ${waiting.length.toLocaleString("en")} waiting${dropped ? `, ${dropped.toLocaleString("en")} more not kept` : ""}`);
    state.textContent = parts.join(" · ");
    state.className = `count ${up === "listening" ? "good" : up === "connecting …" ? "" : "bad"}`;
  };
  const draw = () => {
    drawn = false;
    if (!paused && waiting.length) {
      const follows = list.scrollTop + list.clientHeight >= list.scrollHeight - 40;
      list.append(...waiting.map((make) => make()));
      waiting = [];
      while (list.childElementCount > MOST_LIVE) list.firstElementChild.remove();
      if (follows) list.scrollTop = list.scrollHeight;
    }
    say();
  };
  const soon = () => { if (!drawn) { drawn = true; setTimeout(draw, 100); } };
  const keep = (maker) => {
    waiting.push(maker);
    if (waiting.length > MOST_LIVE) { waiting.shift(); dropped += 1; }
    soon();
  };
  let lastId = "", pause = FIRST_PAUSE;
  const seen = new Set();
  const address = () => {
    const url = new URL(live.dataset.stream, location.href);
    if (lastId) url.searchParams.set("last_event_id", lastId);
    return url;
  };
  const connect = () => {
    const source = new EventSource(address());
    const on = (name, act) => source.addEventListener(name, (event) => {
      lastId = event.lastEventId || lastId;
      act(JSON.parse(event.data));
    });
    source.onopen = () => { up = "listening"; pause = FIRST_PAUSE; soon(); };
    source.onerror = () => {
      up = LOST;
      soon();
      if (source.readyState === EventSource.CLOSED) setTimeout(again, pause * (0.5 + Math.random()));
    };
    on("record", (record) => {
      if (seen.has(record.id)) return; // what was sent shortly before an interruption comes again after it
      seen.add(record.id);
      if (seen.size > MOST_SEEN) seen.delete(seen.values().next().value);
      taken += 1;
      keep(() => liveLine(record));
    });
    on("skipped", ({ count = 0, reason = "" }) => {
      skipped += Number(count) || 0;
      keep(() => safely(make("p", "skipped"), `${Number(count).toLocaleString("en")} records skipped: ${String(reason).slice(0, 200)}`));
    });
    on("note", ({ text }) => keep(() => safely(make("p", "skipped"), String(text).slice(0, 300))));
  };
  // A browser gives up at the first answer that is none, as a proxy's 503 while the server starts again.
  const again = async () => {
    pause = Math.min(pause * 2, LONGEST_PAUSE);
    const answer = await fetch(address()).catch(() => null);
    answer?.body?.cancel();
    if (answer && answer.status >= 400 && answer.status < 500 && answer.status !== 429) { up = "refused: load the page again"; soon(); }
    else connect();
  };
  connect();
  button.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    dropped = 0;
    button.setAttribute("aria-pressed", String(paused));
    button.firstChild.textContent = paused ? "Go on " : "Pause ";
    draw();
  });
  say();
}

// --- Completion of fields and values in the box ---------------------------------------------------------------------

function complete(box) {
  const list = make("ul", "choices");
  list.id = "choices";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Completions");
  let fields = null, chosen = -1, shown = [], from = 0, asked = 0, timer = 0;
  for (const [name, value] of [["role", "combobox"], ["aria-autocomplete", "list"], ["aria-expanded", "false"], ["aria-controls", "choices"]]) box.setAttribute(name, value);

  const close = () => {
    list.remove();
    shown = [];
    chosen = -1;
    box.setAttribute("aria-expanded", "false");
    box.removeAttribute("aria-activedescendant");
  };
  const choose = (place) => {
    chosen = place;
    [...list.children].forEach((line, number) => line.setAttribute("aria-selected", String(number === chosen)));
    list.children[chosen]?.scrollIntoView({ block: "nearest" });
    if (chosen < 0) box.removeAttribute("aria-activedescendant"); else box.setAttribute("aria-activedescendant", `choice-${chosen}`);
  };
  const take = (place) => {
    box.setRangeText(shown[place].text, from, box.selectionStart, "end");
    const wantsValue = shown[place].text.endsWith(":");
    close();
    box.focus();
    if (wantsValue) look();
  };
  const offer = (choices, start) => {
    close();
    if (!choices.length || document.activeElement !== box) return;
    shown = choices;
    from = start;
    list.replaceChildren(...choices.map((choice, number) => {
      const line = make("li", "");
      line.id = `choice-${number}`;
      line.setAttribute("role", "option");
      line.setAttribute("aria-selected", "false");
      line.append(safely(make("b", ""), choice.label), safely(make("span", ""), choice.about ?? ""));
      line.addEventListener("mousedown", (event) => { event.preventDefault(); take(number); });
      return line;
    }));
    box.parentElement.append(list);
    box.setAttribute("aria-expanded", "true");
  };
  const json = async (url) => {
    const answer = await fetch(url);
    if (!answer.ok) throw new Error(String(answer.status));
    return answer.json();
  };
  const quoted = (value) => (/^[\p{L}\p{N}_./@-]+$/u.test(value) ? value : `"${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`);

  async function look() {
    const number = ++asked;
    const before = box.value.slice(0, box.selectionStart);
    const value = /(?:^|[\s(])([\w.@-]+)\s?:\s?("?)([^\s"()]*)$/u.exec(before);
    const name = /(?:^|[\s(])([A-Za-z_@][\w.@-]*)$/u.exec(before);
    try {
      if (value) {
        const prefix = value[3];
        const found = await json(`/api/v1/values?${new URLSearchParams({ field: value[1], prefix, limit: "12" })}`);
        if (number !== asked) return;
        const choices = found.values.map((one) => String(one)).filter((one) => one !== prefix);
        offer(choices.map((one) => ({ text: `${quoted(one)} `, label: one.slice(0, 100) })), before.length - prefix.length - value[2].length);
      } else if (name) {
        fields ??= (await json("/api/v1/fields")).fields;
        if (number !== asked) return;
        const typed = name[1].toLowerCase();
        const of = (field) => field.short || field.name;
        const fits = fields.filter((field) => of(field).toLowerCase().startsWith(typed) || field.name.toLowerCase().startsWith(typed));
        offer(fits.slice(0, 10).map((field) => ({ text: `${of(field)}:`, label: of(field), about: field.meaning })), before.length - name[1].length);
      } else close();
    } catch {
      close(); // nothing to offer is no error
    }
  }

  box.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(look, 120); });
  box.addEventListener("blur", close);
  box.addEventListener("keydown", (event) => {
    if (!shown.length) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") choose((chosen + (event.key === "ArrowDown" ? 1 : -1) + shown.length) % shown.length);
    else if ((event.key === "Enter" || event.key === "Tab") && chosen >= 0) take(chosen);
    else if (event.key === "Escape") { event.stopPropagation(); close(); }
    else return;
    event.preventDefault();
  });
}

// --- Keys -----------------------------------------------------------------------------------------------------------

let afterG = 0;

function moveTo(step) {
  const lines = all(".records > .record > summary");
  const here = lines.indexOf(document.activeElement.closest("summary") ?? find("summary", document.activeElement.closest(".record") ?? document.createElement("p")));
  const next = here < 0 ? (step > 0 ? lines.find((line) => line.getBoundingClientRect().top >= 0) : lines.at(-1)) : lines[here + step];
  if (next) { next.focus(); next.scrollIntoView({ block: "nearest" }); }
  else if (step > 0 && here >= 0) { const more = find(".pager [rel=next]"); if (more) moreLines(more); }
}

const onHere = (selector) => find(selector, document.activeElement.closest(".record") ?? document.createElement("p"))?.click();
const KEYS = {
  "/": () => { const box = find("[data-search]"); if (box) { box.focus(); box.select(); } },
  "?": () => find(".help").showModal(),
  j: () => moveTo(1),
  k: () => moveTo(-1),
  o: () => onHere("[data-open]"),
  r: () => onHere("[data-story]"),
  t: () => (find("[data-pause]") ?? find("[data-tail]") ?? find("nav [data-key=t]"))?.click(),
  g: () => { afterG = Date.now(); },
};

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea");
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (typing) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (find(".help").open) return;
  const goes = Date.now() - afterG < 1500 && /^[a-z]$/.test(event.key) ? find(`nav [data-key=${event.key}]`) : null;
  afterG = 0;
  if (goes) goes.click();
  else if (Object.hasOwn(KEYS, event.key)) KEYS[event.key]();
  else return;
  event.preventDefault();
});

// --- What is there when the page is -----------------------------------------------------------------------------------

document.addEventListener("click", (event) => {
  const line = event.target.closest("summary");
  if (line && !event.target.closest("a") && String(document.getSelection()).length > 0) event.preventDefault(); // it was selected, not clicked
  const more = event.target.closest(".pager [rel=next]");
  if (more && !event.ctrlKey && !event.metaKey && !event.shiftKey) { event.preventDefault(); moreLines(more); }
  if (event.target.closest("[data-help]")) find(".help").showModal();
  if (event.target.closest("[data-zone]")) { store.set("zone", inUtc() ? "local" : "utc"); showTimes(); }
  const theme = event.target.closest("[data-theme-switch]");
  if (theme) {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    store.set("theme", document.documentElement.dataset.theme);
    theme.textContent = isDark() ? "light" : "dark";
  }
});
document.addEventListener("toggle", (event) => { if (event.target.matches?.(".record")) bringFields(event.target); }, true);

document.addEventListener("DOMContentLoaded", () => {
  find(".tools").hidden = false;
  find("[data-theme-switch]").textContent = isDark() ? "light" : "dark";
  showTimes();
  const box = find("[data-search]");
  if (box) complete(box);
  const live = find("[data-stream]");
  if (live) listen(live);
});
