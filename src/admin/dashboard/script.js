// The dashboard. It asks for api/state and follows api/events; what came from a client of the Docker API is text of a
// text node or an attribute that is text, and nothing else: no markup is ever made of a string.
"use strict";
(() => {
  const SECONDS = 300; // that are kept, and drawn as soon as they are known
  const SECONDS_MIN = 60;
  const ROWS = 10; // of a table, until the user asks for all
  const FEED_ROWS = 20;
  const SILENCE_MS = 40000; // api/events sends a line every 15 s
  const WAIT_MAX_MS = 30000;
  const STATE_MS = 1000; // between two requests for api/state
  const LINE_MAX = 1 << 20; // of api/events
  const KEY_PLACE = "docker-socket-proxy.key";
  const NONE = "–";

  // ── Text ─────────────────────────────────────────────────────────────────

  const byId = (id) => document.getElementById(id);
  const count = new Intl.NumberFormat("en");
  const hidden = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

  // Characters that do not show, or that reorder what stands beside them, as their codes.
  const shown = (value) => String(value ?? "").replace(hidden, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
  const line = (value) => shown(value).replace(/[\t\n]/g, (c) => (c === "\n" ? "\\n" : "\\t"));

  function say(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }

  function make(name, properties = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(properties)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }

  function button(text, act, className = "") {
    const made = make("button", { type: "button", class: className }, text);
    made.addEventListener("click", act);
    return made;
  }

  function bytes(value) {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = 0;
    for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
    return `${unit && value < 100 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
  }

  function age(seconds) {
    const s = Math.max(0, Math.floor(seconds));
    const two = (n) => String(n).padStart(2, "0");
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min ${two(s % 60)} s`;
    if (s < 86400) return `${Math.floor(s / 3600)} h ${two(Math.floor((s % 3600) / 60))} min`;
    return `${Math.floor(s / 86400)} d ${two(Math.floor((s % 86400) / 3600))} h`;
  }

  function clock(time) {
    const date = new Date(time);
    if (time === null || time === undefined || Number.isNaN(date.getTime())) return NONE;
    const day = date.toLocaleDateString("en-CA");
    const hour = date.toLocaleTimeString("en-GB");
    return day === new Date().toLocaleDateString("en-CA") ? hour : `${day} ${hour}`;
  }

  function rate(value) {
    if (value === 0) return "0";
    return value < 10 ? value.toFixed(value < 0.1 ? 2 : 1) : count.format(Math.round(value));
  }

  function took(ms) {
    if (typeof ms !== "number") return NONE;
    if (ms < 1000) return `${ms < 10 ? Number(ms.toFixed(2)) : Math.round(ms)} ms`;
    return ms < 60000 ? `${(ms / 1000).toFixed(1)} s` : age(ms / 1000);
  }

  // For those who hear the page.
  const announce = (text) => say(byId("said"), text);

  // ── The admin listener ───────────────────────────────────────────────────

  let key = "";
  try {
    key = sessionStorage.getItem(KEY_PLACE) ?? "";
  } catch {
    // The browser keeps nothing: the key lives as long as the page.
  }

  function keep(value) {
    key = value;
    try {
      if (value) sessionStorage.setItem(KEY_PLACE, value);
      else sessionStorage.removeItem(KEY_PLACE);
    } catch {
      // As above.
    }
  }

  class Refused extends Error {
    constructor(status, message) {
      super(message);
      this.status = status;
    }
  }

  // A header, so that the key stands in no address, and so that no form of another site can send what it does.
  async function ask(path, options = {}) {
    const headers = { ...options.headers };
    if (key) headers["X-Api-Key"] = key;
    const response = await fetch(path, {
      cache: "no-store", credentials: "same-origin", redirect: "error", referrerPolicy: "no-referrer", ...options, headers,
    });
    if (response.ok) return response;
    let message = `${response.status} ${response.statusText}`;
    try {
      message = (await response.json()).message || message;
    } catch {
      // Not JSON: the status is all there is.
    }
    throw new Refused(response.status, message);
  }

  const act = (path) =>
    ask(path, { method: "POST", headers: { "Content-Type": "application/json", "X-Requested-With": "dashboard" } });

  // ── Tables ───────────────────────────────────────────────────────────────

  // Rows live as long as what they show, so that neither focus nor selection is lost when values change.
  function fill(parent, items, keyOf, build) {
    const old = parent.kept ?? new Map();
    const kept = new Map();
    const focused = document.activeElement;
    for (const item of items) {
      const base = keyOf(item);
      let name = base;
      for (let i = 2; kept.has(name); i++) name = `${base} ${i}`;
      const row = old.get(name) ?? build(item);
      kept.set(name, row);
      row.update(item);
    }
    let lost = false;
    for (const [name, row] of old) {
      if (kept.has(name)) continue;
      lost = lost || row.element.contains(focused);
      row.element.remove();
    }
    let at = parent.firstChild;
    for (const { element } of kept.values()) {
      if (element === at) at = at.nextSibling;
      else parent.insertBefore(element, at);
    }
    parent.kept = kept;
    if (lost) parent.closest("section").querySelector("h2").focus({ preventScroll: true });
    else if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
  }

  // A cell is made by (box, cell) → update(item). The first cell is the row's heading.
  function rowBuilder(labels, cells) {
    return () => {
      const element = make("tr", { role: "row" });
      const updates = cells.map((cell, i) => {
        const box = make("div");
        const made = i === cells.head
          ? make("th", { scope: "row", role: "rowheader" }, box)
          : make("td", { role: "cell" }, box);
        made.dataset.label = labels[i].trim();
        element.append(made);
        return cell(box, made);
      });
      return { element, update: (item) => updates.forEach((update) => update(item)) };
    };
  }

  function table(name, keyOf, cells, head, limit = ROWS) {
    const element = byId(`${name}-table`);
    const body = element.tBodies[0];
    const section = element.closest("section");
    const more = section.querySelector(".more");
    const labels = [...element.tHead.rows[0].cells].map((cell) => cell.textContent);
    const roles = { table: [element], rowgroup: [element.tHead, body], row: element.tHead.rows, columnheader: element.tHead.rows[0].cells };
    // What the style of a phone lays out as blocks stays a table to those who hear it.
    for (const [role, elements] of Object.entries(roles)) for (const each of elements) each.setAttribute("role", role);
    cells.head = head;
    const build = rowBuilder(labels, cells);
    let all = false;
    let items = [];
    function draw() {
      const cut = !all && items.length > limit;
      fill(body, cut ? items.slice(0, limit) : items, keyOf, build);
      element.hidden = items.length === 0;
      section.querySelector(".empty").hidden = items.length > 0;
      if (!more) return;
      more.hidden = items.length <= limit;
      say(more, cut ? `Show all ${count.format(items.length)}` : `Show the first ${limit}`);
      more.setAttribute("aria-expanded", String(all));
    }
    more?.addEventListener("click", () => {
      all = !all;
      draw();
    });
    return (next) => {
      items = next;
      draw();
    };
  }

  const plain = (value, className = "") => (box, cell) => {
    cell.className = className;
    const text = make("bdi");
    box.append(text);
    return (item) => say(text, line(value(item)) || NONE);
  };

  const number = (value, mark = "") => (box, cell) => (item) => {
    const n = value(item) ?? 0;
    say(box, typeof n === "number" ? count.format(n) : n);
    cell.className = `number ${n === 0 || n === "0" ? "zero" : mark}`;
  };

  const time = (value) => (box, cell) => {
    const text = make("time");
    cell.className = "time";
    box.append(text);
    return (item) => {
      say(text, clock(value(item)));
      text.setAttribute("datetime", line(value(item)));
      text.title = line(value(item));
    };
  };

  const clientName = (item, field = "client") => line(item[field]) || "no entry";

  const client = (field, below) => (box) => {
    const name = make("bdi");
    const sub = make("bdi", { class: "sub peer" });
    box.append(name, sub);
    return (item) => {
      say(name, clientName(item, field));
      name.className = item[field] ? "name" : "nobody";
      say(sub, below ? line(below(item)) : "");
    };
  };

  const operation = (below) => (box) => {
    const name = make("bdi", { class: "name" });
    const target = make("bdi");
    const sub = make("bdi", { class: "sub mono" });
    box.append(name, " ", target, sub);
    return (item) => {
      say(name, line(item.operation) || NONE);
      say(target, line(item.target));
      say(sub, below ? line(below(item)) : "");
    };
  };

  // ── Copying ──────────────────────────────────────────────────────────────

  // Where the page came over plain HTTP from another machine, browsers have no navigator.clipboard.
  async function put(text, source) {
    if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
    const range = document.createRange();
    range.selectNodeContents(source);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    if (!document.execCommand("copy")) throw new Error("not copied");
  }

  // What is copied is what is shown.
  function copier(source, label) {
    const made = button(label, async () => {
      try {
        await put(source.textContent, source);
        say(made, "Copied");
        announce(`Copied: ${source.textContent}`);
      } catch {
        say(made, "Press Ctrl+C");
        announce("The browser refused to copy. The text is selected: press Ctrl and C.");
      }
      setTimeout(() => say(made, label), 2000);
    });
    return made;
  }

  function fix(label, what) {
    const text = make("pre", { tabindex: "0" });
    const copy = copier(text, label);
    const element = make("div", { class: "fix" }, text, copy);
    return {
      element,
      update(value, item) {
        element.hidden = !value;
        say(text, shown(value));
        text.setAttribute("aria-label", `${what} that allows ${line(item.operation)} for ${clientName(item)}`);
        copy.setAttribute("aria-label", `${label}: ${line(item.operation)} for ${clientName(item)}`);
      },
    };
  }

  // ── Denials ──────────────────────────────────────────────────────────────

  function why(box) {
    const word = make("span", { class: "pill warn" }, "observed");
    const reason = make("bdi");
    const rule = make("bdi", { class: "sub" });
    box.append(word, " ", reason, rule);
    return (item) => {
      // What would allow it has a column of its own.
      const words = line(item.reason).split(" To allow it, ")[0];
      word.hidden = item.verdict !== "would-deny";
      say(reason, words);
      say(rule, [item.policy && !words.includes(item.policy) && `policy ${line(item.policy)}`, line(item.rule)].filter(Boolean).join(", "));
    };
  }

  function fixes(box) {
    const yaml = fix("Copy YAML", "YAML");
    const variable = fix("Copy variable", "Variable");
    const none = make("span", { class: "muted" }, "No line of the configuration would.");
    box.append(yaml.element, variable.element, none);
    return (item) => {
      yaml.update(item.allow?.yaml, item);
      variable.update(item.allow?.variable, item);
      none.hidden = Boolean(item.allow?.yaml || item.allow?.variable);
    };
  }

  const drawDenials = table(
    "denials",
    (d) => JSON.stringify([d.client, d.peer, d.listener, d.operation, d.target, d.method, d.path, d.policy, d.rule, d.reason, d.verdict]),
    [
      time((d) => d.time),
      client("client", (d) => d.peer),
      operation((d) => `${d.method ?? ""} ${d.path ?? ""}`),
      why,
      number((d) => d.count),
      fixes,
    ],
  );

  // ── Clients ──────────────────────────────────────────────────────────────

  const total = (c) => c.requests.allow + c.requests.deny + c.requests.would_deny + c.requests.error;
  const clientKey = (c) => JSON.stringify([c.name, c.policy]);
  const limits = (c) =>
    Object.entries(c.limits ?? {}).filter(([, hits]) => hits > 0).map(([name, hits]) => `${name} ${count.format(hits)}`).join(", ");

  function policy(box) {
    const name = make("bdi");
    const mode = make("span", { class: "pill warn" }, "observe");
    box.append(name, " ", mode);
    return (c) => {
      say(name, line(c.policy) || NONE);
      mode.hidden = c.mode !== "observe";
    };
  }

  const drawClients = table("clients", clientKey, [
    client("name"),
    policy,
    number((c) => rate(clientRates.get(clientKey(c)) ?? 0)),
    number((c) => c.connections),
    number((c) => c.streams),
    number((c) => c.requests.allow),
    number((c) => c.requests.deny, "deny"),
    number((c) => c.requests.would_deny, "would"),
    number((c) => c.requests.error, "deny"),
    plain(limits),
  ], 0, 50);

  // ── Several Engines ──────────────────────────────────────────────────────

  const engineState = (e) => {
    const word = e.up === null ? "not asked yet" : e.up ? "up" : "down";
    return e.active ? `${word}: ${line(e.active)}` : word;
  };

  const drawEngines = table("engines", (e) => String(e.name), [
    plain((e) => e.name),
    plain(engineState),
    plain((e) => e.address ?? e.members.map(line).join(", ")),
    number((e) => e.connect_failures, "deny"),
    plain((e) => e.error ?? ""),
  ], 0, 20);

  function fleet({ engines = [] }) {
    byId("engines").hidden = engines.length === 0;
    drawEngines([...engines].sort((a, b) => (a.up === false ? 0 : 1) - (b.up === false ? 0 : 1)));
  }

  // ── Streams ──────────────────────────────────────────────────────────────

  // Closing asks once: the button says so itself, and Escape or leaving it takes that back.
  function closing(box, cell) {
    let stream;
    let armed = false;
    const problem = make("p", { class: "error", role: "alert" });
    const close = button("Close", press);
    const keepOpen = button("Keep", () => arm(false));
    const actions = make("div", { class: "actions" }, close, keepOpen);
    box.append(actions, problem);
    const name = () => `${line(stream.operation)} of ${clientName(stream)}`;
    function arm(value) {
      armed = value;
      say(close, armed ? "Close now" : "Close");
      close.className = armed ? "danger" : "";
      keepOpen.hidden = !armed;
      label();
      if (!armed && document.activeElement === keepOpen) close.focus();
    }
    function label() {
      close.setAttribute("aria-label", `${close.textContent}: ${name()}`);
      keepOpen.setAttribute("aria-label", `Keep: ${name()}`);
    }
    async function press() {
      say(problem, "");
      if (!armed) {
        arm(true);
        announce(`Press again to end ${name()}. Escape keeps it.`);
        return;
      }
      arm(false);
      try {
        await act(`api/streams/${encodeURIComponent(stream.id)}/close`);
        announce(`Closed: ${name()}`);
      } catch (error) {
        say(problem, shown(error.message));
      }
      refresh();
    }
    cell.addEventListener("keydown", (event) => {
      if (event.key === "Escape") arm(false);
    });
    cell.addEventListener("focusout", (event) => {
      if (armed && !cell.contains(event.relatedTarget)) arm(false);
    });
    return (next) => {
      const first = stream === undefined;
      stream = next;
      if (first) arm(false);
      else label();
    };
  }

  const streamSeconds = (s) => {
    const began = Date.parse(s.started);
    return Number.isNaN(began) ? s.seconds : (now() - began) / 1000;
  };

  const drawStreams = table("streams", (s) => String(s.id), [
    client("client"),
    operation(),
    plain((s) => s.peer),
    number((s) => age(streamSeconds(s))),
    number((s) => bytes(s.bytes?.to_engine ?? 0)),
    number((s) => bytes(s.bytes?.to_client ?? 0)),
    closing,
  ], 0, 20);

  // ── Learned operations ───────────────────────────────────────────────────

  function operationsTable() {
    const labels = ["Operation", "Allowed", "Denied", "Would deny", "Errors"];
    const head = make("tr", { role: "row" },
      ...labels.map((label, i) => make("th", { scope: "col", role: "columnheader", class: i ? "number" : "" }, label)));
    const body = make("tbody", { role: "rowgroup" });
    const caption = make("caption", { class: "visually-hidden" });
    const element = make("table", { role: "table" }, caption, make("thead", { role: "rowgroup" }, head), body);
    const cells = [
      plain((o) => o.operation),
      number((o) => o.allow),
      number((o) => o.deny, "deny"),
      number((o) => o.would_deny, "would"),
      number((o) => o.error, "deny"),
    ];
    cells.head = 0;
    const build = rowBuilder(labels, cells);
    return {
      element,
      update(c) {
        say(caption, `Operations of ${clientName(c, "name")}`);
        fill(body, c.known, (o) => String(o.operation), build);
      },
    };
  }

  function learned() {
    const name = make("bdi", { class: "name" });
    const under = make("bdi", { class: "muted" });
    const amount = make("span", { class: "muted" });
    const operations = operationsTable();
    const text = make("pre", { tabindex: "0" });
    const copy = copier(text, "Copy YAML");
    const none = make("p", { class: "muted" }, "There is none yet.");
    const proposal = make("div", { class: "proposal" }, make("h3", {}, "The smallest policy for this", copy), text, none);
    const element = make("details", {}, make("summary", {}, name, under, amount),
      make("div", { class: "learned" }, operations.element, proposal));
    let last;
    // A closed one costs nothing: a client can have hundreds of operations.
    function draw() {
      if (!element.open) return;
      operations.update(last);
      say(text, shown(last.proposal));
      text.setAttribute("aria-label", `The smallest policy for ${clientName(last, "name")}`);
      copy.setAttribute("aria-label", `Copy YAML: the smallest policy for ${clientName(last, "name")}`);
      text.hidden = copy.hidden = !last.proposal;
      none.hidden = Boolean(last.proposal);
    }
    element.addEventListener("toggle", draw);
    return {
      element,
      update(c) {
        last = c;
        say(name, clientName(c, "name"));
        say(under, `policy ${line(c.policy) || NONE}`);
        say(amount, c.known.length === 1 ? "1 operation" : `${count.format(c.known.length)} operations`);
        draw();
      },
    };
  }

  function drawOperations(clients) {
    const list = byId("operations-list");
    // A request that was not understood is none.
    const used = clients.map((c) => ({ ...c, known: c.operations.filter((o) => o.operation) })).filter((c) => c.known.length > 0);
    fill(list, used, clientKey, learned);
    list.closest("section").querySelector(".empty").hidden = used.length > 0;
  }

  // ── Latest requests ──────────────────────────────────────────────────────

  const verdicts = { allow: "pill", deny: "pill bad", "would-deny": "pill warn", error: "pill bad" };
  const feed = [];
  let feedNumber = 0;
  let feedTimer = 0;
  let paused = false;

  function verdict(box) {
    const word = make("span");
    const reason = make("bdi", { class: "sub" });
    box.append(word, reason);
    return (r) => {
      say(word, line(r.verdict) || NONE);
      word.className = verdicts[r.verdict] ?? "pill";
      say(reason, r.verdict === "allow" ? "" : line(r.reason));
    };
  }

  const drawFeed = table("requests", (r) => String(r.number), [
    time((r) => r.time),
    client("client", (r) => r.peer),
    operation(),
    verdict,
    number((r) => (r.status ? String(r.status) : NONE)),
    number((r) => took(r.ms)),
  ], 0, FEED_ROWS);

  // Drawn twice a second at most, however many there are.
  function record(data) {
    feed.unshift({ ...data, number: feedNumber++ });
    feed.length = Math.min(feed.length, FEED_ROWS);
    if (!feedTimer && !paused) {
      feedTimer = setTimeout(() => {
        feedTimer = 0;
        if (!paused) drawFeed([...feed]);
      }, 500);
    }
  }

  byId("pause").addEventListener("click", () => {
    paused = !paused;
    byId("pause").setAttribute("aria-pressed", String(paused));
    say(byId("pause"), paused ? "Paused" : "Pause");
    if (!paused) drawFeed([...feed]);
  });

  // ── Rates ────────────────────────────────────────────────────────────────

  const clientRates = new Map();
  let offset = 0; // of the proxy's clock
  let live = false;
  let last = null; // state
  const now = () => Date.now() + offset;

  // A value for each second, by differences of what the proxy counts. `known` tells a second without requests from one
  // in which nobody looked.
  function series() {
    const values = new Float64Array(SECONDS);
    const known = new Uint8Array(SECONDS);
    let newest = 0;
    function reach(second) {
      if (newest === 0) newest = second - 1;
      for (let at = Math.max(newest + 1, second - SECONDS + 1); at <= second; at++) {
        values[at % SECONDS] = 0;
        known[at % SECONDS] = 0;
      }
      newest = Math.max(newest, second);
    }
    return {
      look(second) {
        reach(second);
        if (second > newest - SECONDS) known[second % SECONDS] = 1;
      },
      // `amount` between two moments, in milliseconds.
      add(amount, from, to) {
        reach(Math.floor(to / 1000));
        for (let at = Math.max(Math.floor(from / 1000), newest - SECONDS + 1); at <= Math.floor(to / 1000); at++) {
          const part = Math.min(to, (at + 1) * 1000) - Math.max(from, at * 1000);
          values[at % SECONDS] += amount * (to > from ? part / (to - from) : 1);
          known[at % SECONDS] = 1;
        }
      },
      // The seconds up to this one, the oldest first; null where nothing is known.
      until(second) {
        return Array.from({ length: SECONDS }, (_, i) => {
          const at = second - SECONDS + 1 + i;
          return at > newest - SECONDS && at <= newest && at > 0 && known[at % SECONDS] ? values[at % SECONDS] : null;
        });
      },
    };
  }

  const rates = { requests: series(), denials: series() };

  function sums(state) {
    let requests = 0;
    let denials = 0;
    for (const c of state.clients) {
      requests += total(c);
      denials += c.requests.deny;
    }
    return { requests, denials };
  }

  // The proxy says within a second that something changed: a longer silence was one without requests.
  function measure(state) {
    const to = Date.parse(state.now);
    if (last !== null && last.started === state.started) {
      const before = sums(last);
      const after = sums(state);
      const from = Math.max(Date.parse(last.now), live ? to - 2500 : 0);
      if (to > from) {
        for (const name of ["requests", "denials"]) rates[name].add(Math.max(0, after[name] - before[name]), from, to);
        const old = new Map(last.clients.map((c) => [clientKey(c), total(c)]));
        for (const c of state.clients) {
          const gone = total(c) - (old.get(clientKey(c)) ?? 0);
          clientRates.set(clientKey(c), Math.max(0, gone) / (Math.max(1000, to - from) / 1000));
        }
      }
    }
    last = state;
  }

  // ── Charts ───────────────────────────────────────────────────────────────

  const SVG = "http://www.w3.org/2000/svg";

  function draw(name, properties, ...children) {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(properties)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }

  // 1, 2 or 5 with zeros: what a scale ends with.
  function ceiling(value) {
    const base = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
    return [1, 2, 5, 10].map((step) => step * base).find((step) => step >= value);
  }

  // The lines over the seconds that are known, as runs of points.
  function runs(values, x, y) {
    const found = [];
    let run = null;
    values.forEach((value, i) => {
      if (value === null) {
        run = null;
        return;
      }
      if (run === null) found.push((run = []));
      run.push([x(i), y(value)]);
    });
    return found;
  }

  function chart(name, noun) {
    const svg = byId(`${name}-chart`);
    let pointed = null;
    let values = [];
    let end = 0;
    function render() {
      const width = svg.clientWidth;
      const height = svg.clientHeight;
      if (!width || !height) return;
      const peak = Math.max(0, ...values.map((v) => v ?? 0));
      const most = ceiling(peak);
      const x = (i) => (i / (values.length - 1)) * width;
      const y = (v) => height - 4 - (v / most) * (height - 18);
      const path = (points) => points.map(([px, py], i) => `${i ? "L" : "M"}${px.toFixed(1)} ${py.toFixed(1)}`).join("");
      const parts = [0, most / 2, most].map((v) => draw("line", { class: "rule", x1: 0, x2: width, y1: y(v), y2: y(v) }));
      for (const points of runs(values, x, y)) {
        const [first, final] = [points[0][0], points[points.length - 1][0]];
        parts.push(draw("path", { class: "wash", d: `${path(points)}L${final.toFixed(1)} ${y(0)}L${first.toFixed(1)} ${y(0)}Z` }));
        parts.push(draw("path", { class: "curve", d: path(points) }));
      }
      parts.push(draw("text", { x: 0, y: y(most) - 4 }, count.format(most)));
      if (pointed !== null) parts.push(draw("line", { class: "cursor", x1: x(pointed), x2: x(pointed), y1: 8, y2: height - 4 }));
      svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      svg.replaceChildren(...parts);
    }
    function caption() {
      const known = values.filter((v) => v !== null);
      const recent = known.slice(-3);
      const mean = recent.reduce((sum, v) => sum + v, 0) / (recent.length || 1);
      const peak = Math.max(0, ...known);
      const at = pointed === null ? null : values[pointed] ?? null;
      say(byId(`${name}-rate`), at === null ? rate(mean) : rate(at));
      say(byId(`${name}-peak`), at === null ? `at most ${rate(peak)}` : `at ${clock((end - values.length + 1 + pointed) * 1000 - offset)}`);
      say(svg.parentElement.querySelector(".since"), values.length % 60 ? `${age(values.length)} ago` : `${values.length / 60} min ago`);
      say(byId(`${name}-summary`), `${rate(mean)} ${noun} a second now, at most ${rate(peak)} in ${age(known.length)}`);
    }
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      pointed = Math.round(Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * (values.length - 1));
      caption();
      render();
    });
    svg.addEventListener("pointerleave", () => {
      pointed = null;
      caption();
      render();
    });
    new ResizeObserver(render).observe(svg);
    return (second) => {
      end = second;
      values = rates[name].until(second);
      const first = values.findIndex((v) => v !== null);
      values = values.slice(Math.min(first < 0 ? SECONDS : first, SECONDS - SECONDS_MIN));
      caption();
      render();
    };
  }

  const charts = [chart("requests", "requests"), chart("denials", "denials")];

  // ── Facts ────────────────────────────────────────────────────────────────

  // [term, text, class of the text]: without text it is left out.
  function facts(id, rows) {
    fill(byId(id), rows.filter(([, text]) => text).flatMap(([term, text, className = ""]) => [
      { key: `${term} t`, name: "dt", text: term, className: "" },
      { key: `${term} d`, name: "dd", text, className },
    ]), (row) => row.key, ({ name }) => {
      const text = make("bdi");
      return {
        element: make(name, {}, text),
        update(row) {
          say(text, line(row.text));
          text.className = row.className;
        },
      };
    });
  }

  function pill(id, text, className) {
    const element = byId(id);
    element.hidden = !text;
    element.className = `pill dot ${className}`;
    say(element, text);
  }

  function engineFacts({ engine }) {
    pill("engine-up", engine.up === null ? "" : engine.up ? "reachable" : "not reachable", engine.up === null ? "" : engine.up ? "good" : "bad");
    facts("engine", [
      ["Address", engine.address ?? "none: requests name one of the Engines below", engine.address ? "mono" : ""],
      ["Version", engine.version && `${engine.version}${engine.api_version ? `, API ${engine.api_version}` : ""}`],
      ["Connections", `${count.format(engine.connections.open)} open, ${count.format(engine.connections.idle)} idle`],
      ["Failed to connect", `${count.format(engine.connect_failures)} times`],
    ]);
  }

  function configurationFacts({ configuration: c }) {
    facts("configuration", [
      ["File", c.file ?? "none: variables and flags alone", c.file ? "mono" : ""],
      ["SHA-256", c.sha256, "mono"],
      ["Loaded", `${clock(c.loaded)}, ${age((now() - Date.parse(c.loaded)) / 1000)} ago`],
      ["Reloads", `${count.format(c.reloads.ok)} done, ${count.format(c.reloads.failed)} failed${c.watch ? "; the file is watched" : ""}`],
    ]);
  }

  function processFacts(state) {
    facts("process", [
      ["Up", `${age((now() - Date.parse(state.started)) / 1000)}, process ${state.pid}`],
      ["Connections", count.format(state.listeners.reduce((sum, l) => sum + l.connections, 0))],
      ["Audit", state.audit
        ? `${line(state.audit.path)}, ${state.audit.works ? "written" : "not written"}, ${count.format(state.audit.lost)} lost; on failure ${line(state.audit.on_failure)}`
        : "off"],
      ...state.listeners.map((l) => [
        "Listener",
        `${l.name ? `${line(l.name)}, ` : ""}${line(l.address)}: policy ${line(l.policy)}, ${count.format(l.connections)} open`,
      ]),
    ]);
  }

  // What is wrong comes first, with what to do.
  function problems(state) {
    const failed = state.configuration.last_error;
    const found = [];
    if (state.engine.up === false) found.push(["The Engine cannot be reached.", state.engine.error ?? "", "bad"]);
    if (failed) {
      found.push([`The reload at ${clock(failed.time)} failed; the former configuration holds.`, failed.text, "bad"]);
    }
    if (state.workers?.silent > 0) {
      found.push(["The values are not complete:", `${count.format(state.workers.silent)} of ${count.format(state.workers.count)} threads did not answer.`, "warn"]);
    }
    if (state.audit && !state.audit.works) {
      found.push(["Audit records cannot be written.", `${state.audit.path}: ${count.format(state.audit.lost)} are lost`, "bad"]);
    }
    fill(byId("problems"), found, ([title]) => title, ([title, , kind]) => {
      const text = make("bdi");
      return {
        element: make("p", { class: `banner ${kind}` }, make("b", {}, title), text),
        update: ([, detail]) => say(text, shown(detail)),
      };
    });
  }

  function hint(state) {
    const listener = state.listeners[0]?.address ?? "tcp://…";
    say(byId("clients-hint"), `DOCKER_HOST=${line(listener).replace("//0.0.0.0", `//${location.hostname}`)} docker ps`);
  }

  // ── The state ────────────────────────────────────────────────────────────

  function tick() {
    if (last === null) return;
    const second = Math.floor(now() / 1000) - 1;
    if (live) for (const each of Object.values(rates)) each.look(second);
    for (const each of charts) each(second);
    drawStreams(last.streams);
    configurationFacts(last);
    processFacts(last);
  }

  function show(state) {
    offset = Date.parse(state.now) - Date.now();
    measure(state);
    byId("content").hidden = byId("nav").hidden = false;
    say(byId("version"), line(state.version));
    const unready = (state.not_ready ?? []).map(line).join(", ");
    pill("ready", state.ready ? "Ready" : `Not ready${unready ? `: ${unready}` : ""}`, state.ready ? "good" : "bad");
    say(byId("denials-count"), count.format(state.denials.length));
    say(byId("clients-count"), count.format(state.clients.length));
    say(byId("streams-count"), count.format(state.streams_total));
    engineFacts(state);
    fleet(state);
    problems(state);
    hint(state);
    drawDenials(state.denials);
    drawClients(state.clients);
    drawOperations(state.clients);
    tick();
  }

  let fetching = false;
  let wanted = false;
  let earliest = 0;

  // One request at a time, at most one a second, and less often where the state is large.
  async function refresh() {
    wanted = true;
    if (fetching) return;
    fetching = true;
    try {
      while (wanted) {
        wanted = false;
        await pause(earliest - Date.now());
        const began = Date.now();
        show(await (await ask("api/state")).json());
        earliest = Date.now() + Math.max(STATE_MS - 100, 4 * (Date.now() - began));
      }
    } catch (error) {
      interrupt?.(error);
    } finally {
      fetching = false;
    }
  }

  // ── Events ───────────────────────────────────────────────────────────────

  const pause = (ms) => new Promise((done) => setTimeout(done, Math.max(0, ms)));
  let interrupt = null; // ends the stream of events that is open
  let lost = 0; // events since the page was opened

  // Those that the proxy made while this page, or the way to it, was too slow.
  function leaveOut(data) {
    lost += Number(data.match(/[0-9]+/)?.[0] ?? 0);
    say(byId("requests-lost"), lost === 1 ? "1 event was left out: this page was too slow." : `${count.format(lost)} events were left out: this page was too slow.`);
    byId("requests-lost").hidden = false;
  }

  function receive(name, data) {
    if (name === "state") {
      refresh();
    } else if (name === "lost") {
      leaveOut(data);
    } else if (name === "record") {
      try {
        record(JSON.parse(data));
      } catch {
        // Half a record: the next one is whole.
      }
    }
  }

  // text/event-stream. EventSource would do, but sends no key.
  function parser() {
    let rest = "";
    let name = "";
    let data = [];
    return (text) => {
      const lines = (rest + text).split(/\r\n|\n/);
      rest = lines.pop();
      if (rest.length > LINE_MAX) throw new Error("a line of api/events does not end");
      for (const each of lines) {
        if (each === "") {
          if (data.length > 0) receive(name, data.join("\n"));
          name = "";
          data = [];
        } else if (each.startsWith("event:")) {
          name = each.slice(6).trim();
        } else if (each.startsWith("data:")) {
          data.push(each.slice(5).replace(/^ /, ""));
        }
      }
    };
  }

  // Until the stream ends, which it does with an error.
  async function follow() {
    const abort = new AbortController();
    let reason = null;
    let silence = 0;
    interrupt = (error) => {
      reason ??= error;
      abort.abort();
    };
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => interrupt(new Error("nothing came for 40 s")), SILENCE_MS);
    };
    try {
      heard();
      show(await (await ask("api/state", { signal: abort.signal })).json());
      const response = await ask("api/events", { signal: abort.signal, headers: { Accept: "text/event-stream" } });
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      const parse = parser();
      connected();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) throw new Error("the proxy ended the stream of events");
        heard();
        parse(value);
      }
    } catch (error) {
      throw reason ?? error;
    } finally {
      clearTimeout(silence);
      interrupt = null;
      abort.abort();
    }
  }

  // ── The connection ───────────────────────────────────────────────────────

  let failures = 0;
  let hurry = null; // ends a wait

  function connected() {
    live = true;
    failures = 0;
    document.body.classList.remove("stale");
    pill("link", "Live", "good");
    byId("forget").hidden = !key;
    refresh();
  }

  async function wait(error) {
    const ms = Math.min(WAIT_MAX_MS, 1000 * 2 ** Math.min(failures++, 10)) * (0.8 + 0.4 * Math.random());
    const end = Date.now() + ms;
    const seen = last === null ? "" : `; values of ${clock(last.now)}`;
    const text = error instanceof Refused ? line(error.message) : "the proxy does not answer";
    document.body.classList.add("stale");
    pill("link", `Not connected: ${text}${seen}`, "bad");
    byId("link-now").hidden = false;
    const hurried = new Promise((done) => (hurry = done));
    const timer = setInterval(() => say(byId("link-wait"), `again in ${Math.ceil((end - Date.now()) / 1000)} s`), 250);
    await Promise.race([pause(ms), hurried]);
    clearInterval(timer);
    hurry = null;
    say(byId("link-wait"), "");
    byId("link-now").hidden = true;
    pill("link", "Connecting", "warn");
  }

  let opened = null; // a key was given

  async function askForKey() {
    byId("content").hidden = byId("nav").hidden = byId("forget").hidden = true;
    byId("problems").replaceChildren();
    byId("problems").kept = undefined;
    byId("key").hidden = false;
    pill("ready", "", "");
    pill("link", "Waiting for a key", "warn");
    say(byId("key-error"), key ? "The proxy does not accept this key." : "");
    keep("");
    last = null;
    byId("key-value").focus();
    await new Promise((done) => (opened = done));
    byId("key").hidden = true;
    byId("main").focus();
    pill("link", "Connecting", "warn");
  }

  byId("key-form").addEventListener("submit", (event) => {
    const value = byId("key-value").value.trim();
    event.preventDefault();
    if (!/^[\x20-\x7e]+$/.test(value)) {
      say(byId("key-error"), value ? "A key has letters, digits and signs of ASCII alone." : "Write a key.");
      return;
    }
    byId("key-value").value = "";
    keep(value);
    opened?.();
  });

  byId("forget").addEventListener("click", () => {
    keep("");
    interrupt?.(new Refused(401, ""));
  });

  byId("link-now").addEventListener("click", () => hurry?.());
  addEventListener("online", () => hurry?.());
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) hurry?.();
  });

  async function run() {
    for (;;) {
      try {
        await follow();
      } catch (error) {
        live = false;
        if (error.status === 401) await askForKey();
        else await wait(error);
      }
    }
  }

  // ── Reload ───────────────────────────────────────────────────────────────

  byId("reload").addEventListener("click", async () => {
    const reload = byId("reload");
    const failed = byId("reload-error");
    if (reload.getAttribute("aria-disabled") === "true") return;
    reload.setAttribute("aria-disabled", "true");
    say(reload, "Reloading");
    say(byId("reload-result"), "");
    failed.hidden = true;
    try {
      await act("api/reload");
      say(byId("reload-result"), `Reloaded at ${clock(now())}. What runs is what the file says.`);
    } catch (error) {
      failed.hidden = false;
      say(failed, shown(error.message));
    }
    reload.removeAttribute("aria-disabled");
    say(reload, "Reload");
    refresh();
  });

  setInterval(tick, 1000);
  run();
})();
