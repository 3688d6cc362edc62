// The panel's only script: it shows server-sent events, and handles keys and filters. Text
// of the log goes into text nodes only.
"use strict";

const $ = (id) => document.getElementById(id);
const page = document.body.dataset.page;
// HTML comes only from the panel's own templates, which escape all text.
const ours = window.trustedTypes ? trustedTypes.createPolicy("panel", { createHTML: (s) => s }) : { createHTML: (s) => s };

function make(name, cls, text) {
  const e = document.createElement(name);
  if (cls) e.className = cls;
  if (text !== undefined) e.textContent = text;
  return e;
}

function fragment(html) {
  const t = document.createElement("template");
  t.innerHTML = ours.createHTML(html);
  return t.content;
}

// Times: the server sends UTC, the page shows the zone of the browser.
const two = (n) => String(n).padStart(2, "0");
const day = (d) => `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
const clock = (d) => `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;

function ago(d) {
  const s = Math.max(0, Math.round((Date.now() - d) / 1000));
  if (s < 60) return `${s} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ago`;
  return `${Math.floor(s / 86400)} d ago`;
}

function localise(root) {
  for (const t of root.querySelectorAll("time[datetime]")) {
    const d = new Date(t.dateTime);
    const whole = day(d) + " " + clock(d);
    const text = t.dataset.ago !== undefined ? ago(d) : day(d) === day(new Date()) ? clock(d) : whole;
    if (t.textContent !== text) t.textContent = text;
    t.title = whole;
  }
}

// connect keeps a connection that closes while the tab is hidden, and reconnects by itself.
function connect(url, handlers) {
  let source = null, timer = 0, over = false;
  const say = (cls, text) => { $("live").className = "live " + cls; $("live").textContent = text; };
  const open = () => {
    clearTimeout(timer);
    if (source || over || document.hidden) return;
    source = new EventSource(url());
    source.onopen = () => say("on", "● live");
    source.onerror = () => {
      if (!source) return;
      source.close();
      source = null;
      say("off", "✕ connection lost");
      timer = setTimeout(open, 1000);
    };
    for (const name in handlers) source.addEventListener(name, (e) => handlers[name](JSON.parse(e.data)));
  };
  const close = () => { clearTimeout(timer); if (source) source.close(); source = null; };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
  return { close() { over = true; close(); } };
}

// Rows that j and k select.
let chosen = null;
const rowsOf = { overview: "#rows > tr:not([hidden])", app: "#lines > li", crashes: "[data-row]" };

function choose(step) {
  const rows = [...document.querySelectorAll(rowsOf[page] || ".none")];
  if (!rows.length) return;
  const at = rows.indexOf(chosen);
  const start = page === "app" ? rows.length - 1 : 0;
  const next = at < 0 ? start : Math.min(Math.max(at + step, 0), rows.length - 1);
  if (chosen) chosen.classList.remove("at");
  chosen = rows[next];
  chosen.classList.add("at");
  chosen.scrollIntoView({ block: "nearest" });
}

// The theme: the system's, until the user chooses one.
function theme(set) {
  const root = document.documentElement;
  if (set) {
    try { localStorage.setItem("theme", set); } catch { /* no storage: it lasts for this page */ }
    root.dataset.theme = set;
    return;
  }
  try { if (localStorage.getItem("theme")) root.dataset.theme = localStorage.getItem("theme"); } catch { /* no storage */ }
}
function otherTheme() {
  const dark = document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  theme(dark ? "light" : "dark");
}
theme();

// The overview.
function overview() {
  const filter = $("filter");
  const sift = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of $("rows").children) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((w) => text.includes(w));
    }
  };
  const params = new URLSearchParams(location.search);
  filter.value = params.get("q") || "";
  filter.addEventListener("input", () => {
    history.replaceState(null, "", filter.value ? "?q=" + encodeURIComponent(filter.value) : "/");
    sift();
  });
  $("rows").addEventListener("click", (e) => {
    const row = e.target.closest("tr");
    if (row && !e.target.closest("a") && !getSelection().toString()) row.querySelector(".name a").click();
  });
  sift();
  connect(() => "/live", {
    table(data) {
      $("top").replaceChildren(fragment(data.top));
      const rows = new Map([...$("rows").children].map((r) => [r.dataset.id, r]));
      data.order.forEach((id, i) => {
        let row = rows.get(id);
        if (!row) {
          row = make("tr");
          row.dataset.id = id;
        }
        rows.delete(id);
        if (id in data.rows) {
          const cells = fragment("<table><tbody><tr>" + data.rows[id] + "</tr></tbody></table>").querySelector("tr");
          const focused = row.contains(document.activeElement);
          row.replaceChildren(...cells.childNodes);
          if (focused) row.querySelector("a").focus();
        }
        if ($("rows").children[i] !== row) $("rows").insertBefore(row, $("rows").children[i] || null);
      });
      for (const row of rows.values()) row.remove();
      $("none").hidden = data.order.length > 0;
      localise(document);
      sift();
    },
  });
}

// The page of an app: its head, and its log.
function app() {
  const form = $("query"), list = $("lines"), log = $("log"), base = location.pathname;
  const names = ["q", "re", "level", "stream", "run", "since", "until", "at"];
  const most = 1000, mostScrolled = 5000; // most lines on the page: at its end, and scrolled up
  let params = new URLSearchParams(location.search);
  let before = "", after = "", loading = false, paused = false, live = null, held = [], heldMore = 0, generation = 0;

  const board = () => form.dataset.board;
  const endless = () => !params.get("at") && !params.get("until") && (!params.get("run") || params.get("run") === "last");
  const query = (more) => {
    const p = new URLSearchParams({ board: board() });
    for (const n of names) if (params.get(n)) p.set(n, params.get(n));
    for (const n in more) if (more[n]) p.set(n, more[n]); else p.delete(n);
    return p;
  };
  const atEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 30;
  const toEnd = () => { log.scrollTop = log.scrollHeight; };
  const notice = (text) => { $("note").hidden = !text; $("note").textContent = text || ""; };

  async function read(more) {
    const answer = await fetch("/api/v1/apps/" + encodeURIComponent(form.dataset.app) + "/log?" + query(more));
    const body = await answer.json();
    if (!answer.ok) throw Object.assign(new Error(body.error), { status: answer.status });
    return body;
  }

  function line(l) {
    const li = make("li", l.stream + (l.level ? " " + l.level : ""));
    if (/^\{\{__(NEW|END)_RUN_/.test(l.text) && l.stream !== "err") li.classList.add("run");
    li.dataset.id = l.id;
    const d = new Date(l.time);
    const when = make("a", "w", clock(d) + "." + String(l.time % 1000).padStart(3, "0"));
    when.href = base + "?" + new URLSearchParams({ board: board(), at: l.id });
    when.title = day(d) + " " + when.textContent + ", in context";
    const text = make("span", "m", l.text);
    if (l.more) {
      const whole = make("button", "", `${l.more.toLocaleString("en")} bytes more`);
      whole.type = "button";
      whole.addEventListener("click", async () => {
        try {
          const all = await read({ at: l.id, whole: "1", q: "", level: "", stream: "", run: "", since: "", until: "" });
          if (all.lines.length) text.textContent = all.lines[0].text;
        } catch (e) { notice(e.message); }
      });
      text.append(whole);
    }
    if (l.fields) {
      const fold = make("details"), dl = make("dl");
      fold.append(make("summary", "", l.fields.length === 1 ? "1 field" : l.fields.length + " fields"), dl);
      for (const [k, v] of l.fields) dl.append(make("dt", "", k), make("dd", "", v));
      text.append(fold);
    }
    li.append(when, make("span", "s", l.stream), make("span", "l", l.level || ""), text);
    return li;
  }

  const batch = (lines) => { const f = document.createDocumentFragment(); for (const l of lines) f.append(line(l)); return f; };

  function empty() {
    $("nolines").hidden = list.children.length > 0;
    $("older").textContent = before ? "scroll up for older lines" : list.children.length ? "the beginning" : "";
  }

  function append(lines, skipped) {
    const follow = atEnd();
    if (skipped) {
      const last = list.lastElementChild, gap = list.lastElementChild?.classList.contains("gap") ? last : null;
      const gone = skipped + (gap ? Number(gap.dataset.count) : 0);
      const row = gap || make("li", "gap");
      row.dataset.count = gone;
      row.textContent = `… ${gone.toLocaleString("en")} lines came too fast to be shown; a filter or a time above shows them …`;
      if (!gap) list.append(row);
    }
    list.append(batch(lines));
    const surplus = list.children.length - (follow ? most : mostScrolled);
    if (surplus > 0) {
      for (let i = 0; i < surplus; i++) list.firstElementChild.remove();
      before = list.querySelector("li[data-id]")?.dataset.id || before;
    }
    empty();
    if (follow) toEnd();
  }

  function hold(lines, skipped) {
    held.push(...lines);
    heldMore += skipped;
    if (held.length > mostScrolled) heldMore += held.splice(0, held.length - mostScrolled).length;
    const count = held.length + heldMore;
    $("newer").hidden = !count;
    $("newer").textContent = `↓ ${count.toLocaleString("en")} newer line${count === 1 ? "" : "s"}`;
  }

  function release() {
    const lines = held, more = heldMore;
    held = [];
    heldMore = 0;
    $("newer").hidden = true;
    toEnd();
    if (lines.length || more) append(lines, more);
    toEnd();
  }

  async function load() {
    const mine = ++generation;
    if (live) live.close();
    live = null;
    held = [];
    heldMore = 0;
    $("newer").hidden = true;
    $("clear").hidden = !names.some((n) => params.get(n));
    $("clear").href = base + "?board=" + encodeURIComponent(board());
    for (const n of names) {
      const field = form.elements[n];
      if (!field) continue;
      const v = params.get(n) || "";
      if (field.type === "checkbox") { field.checked = !!v; continue; }
      if (field.tagName === "SELECT" && v && ![...field.options].some((o) => o.value === v)) field.append(new Option(v, v));
      field.value = v;
    }
    try {
      const first = await read(params.get("at") ? { n: "100" } : {});
      if (mine !== generation) return;
      notice("");
      list.replaceChildren(batch(first.lines));
      before = first.before || "";
      after = first.after || "";
      empty();
      toEnd();
      const at = params.get("at") && [...list.children].find((r) => r.dataset.id === params.get("at"));
      if (at) {
        chosen = at;
        at.classList.add("at");
        at.scrollIntoView({ block: "center" });
      }
    } catch (e) {
      if (mine !== generation) return;
      notice(e.message);
      list.replaceChildren();
      before = after = "";
      // The board or the panel is away: unlike a wrong filter, that passes.
      if (!(e.status < 500)) setTimeout(() => { if (mine === generation) load(); }, 3000);
    }
    const p = () => query({ after, log: endless() && after ? "1" : "", n: "" });
    live = connect(() => base + "/live?" + p(), {
      head(html) {
        const now = fragment(html);
        for (const part of now.querySelectorAll("[data-part]")) {
          const old = document.querySelector(`[data-part="${part.dataset.part}"]`);
          if (old && !old.isEqualNode(part)) old.replaceWith(part);
        }
        localise($("head"));
      },
      lines(data) {
        if (data.lines?.length) after = data.lines.at(-1).id;
        if (paused || !atEnd()) hold(data.lines || [], data.skipped);
        else append(data.lines || [], data.skipped);
      },
      reset() { load(); },
    });
  }

  async function older() {
    if (loading || !before || held.length > mostScrolled) return;
    loading = true;
    $("older").textContent = "…";
    try {
      const more = await read({ before, at: "" });
      const height = log.scrollHeight, top = log.scrollTop;
      list.prepend(batch(more.lines));
      before = more.before || "";
      log.scrollTop = top + log.scrollHeight - height;
    } catch (e) { notice(e.message); }
    loading = false;
    empty();
  }

  function pause(set) {
    paused = set;
    $("pause").setAttribute("aria-pressed", String(paused));
    $("pause").textContent = paused ? "Go on" : "Pause";
    if (!paused) release();
  }

  const shown = () => [...list.children].map((li) => li.classList.contains("gap") ? li.textContent :
    [li.querySelector(".w").title.replace(", in context", ""), li.querySelector(".s").textContent, li.querySelector(".l").textContent,
      li.querySelector(".m").textContent].filter(Boolean).join(" ")).join("\n") + "\n";

  form.addEventListener("submit", (e) => {
    e.preventDefault();
    params = new URLSearchParams();
    for (const [k, v] of new FormData(form)) if (v) params.set(k, v);
    history.pushState(null, "", base + "?" + query());
    load();
  });
  for (const s of form.querySelectorAll("select, input[type=checkbox]")) s.addEventListener("change", () => form.requestSubmit());
  addEventListener("popstate", () => { params = new URLSearchParams(location.search); load(); });
  $("pause").addEventListener("click", () => pause(!paused));
  $("newer").addEventListener("click", () => pause(false));
  $("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(shown());
      $("copy").textContent = "Copied";
      setTimeout(() => { $("copy").textContent = "Copy"; }, 1500);
    } catch { notice("This browser copies over TLS or from localhost only; Download works."); }
  });
  $("save").addEventListener("click", () => {
    const a = make("a");
    a.href = URL.createObjectURL(new Blob([shown()], { type: "text/plain" }));
    a.download = form.dataset.app + ".log";
    a.click();
    setTimeout(() => URL.revokeObjectURL(a.href), 60000); // a busy browser begins late
  });
  log.addEventListener("scroll", () => {
    if (log.scrollTop < 300) older();
    if (!paused && held.length && atEnd()) release();
  }, { passive: true });
  load();
  return { pause: () => pause(!paused), end: () => pause(false), open: (li) => li.querySelector("a.w")?.click() };
}

const here = page === "overview" ? overview() : page === "app" ? app() : null;
localise(document);
setInterval(() => localise(document), 10000);
$("theme").addEventListener("click", otherTheme);
$("help").addEventListener("click", () => $("keys").showModal());

document.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  if (e.target.closest("input, select, textarea")) {
    if (e.key === "Escape") e.target.blur();
    return;
  }
  if ($("keys").open) return;
  const keys = {
    j: () => choose(1), k: () => choose(-1),
    Enter: () => {
      if (!chosen || e.target.closest("a, button, summary")) return false;
      if (page === "app") here.open(chosen); else chosen.querySelector("a").click();
    },
    "/": () => document.querySelector("input[type=search]")?.focus(),
    "?": () => $("keys").showModal(),
    p: () => here?.pause?.(), G: () => here?.end?.(),
    o: () => { location.href = "/"; }, c: () => { location.href = "/crashes"; },
    t: otherTheme,
  };
  if (keys[e.key] && keys[e.key]() !== false) e.preventDefault();
});
