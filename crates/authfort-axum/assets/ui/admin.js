// What the pages gain from a script: times in the reader's zone, keys, a button that copies, new events as they happen, and a
// word when the server does not answer. Every page works without it.
"use strict";
(() => {
  const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
  const short = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

  function dress(root) {
    for (const time of root.querySelectorAll("time[datetime]:not([title])")) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      time.title = `${full.format(at)}\n${time.dateTime}`;
      time.textContent = short.format(at);
    }
    for (const button of root.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
    returnTo(root.querySelector("#back[data-list]"));
    goOn(root.querySelector("form[data-continue]"));
  }

  // An act on many people goes on by itself, part by part, until somebody stops it.
  let stops = false;

  function goOn(form) {
    if (!form || stops) {
      stops = false;
      return;
    }
    form.removeAttribute("data-continue");
    form.querySelector("[data-stop]").hidden = false;
    form.requestSubmit();
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-stop]");
    if (!button) return;
    stops = true;
    button.disabled = true;
    button.textContent = "Stops after this part";
  });

  // "← Users" leads to the list as it was left, also after an act, when the server no longer knows where somebody came from.
  // There the person who was looked at has the focus.
  const isList = () => document.querySelector('form.filters[role="search"]') !== null;

  const storage = (() => {
    try {
      return window.sessionStorage;
    } catch {
      return null;
    }
  })();

  function returnTo(back) {
    const left = storage?.getItem("authfort-list");
    if (back && left?.split("?")[0] === back.pathname) back.href = left;
    const row = isList() && storage?.getItem("authfort-row");
    if (!row) return;
    storage.removeItem("authfort-row");
    if (document.activeElement === document.body) document.querySelector(`a.row[href="${CSS.escape(row)}"]`)?.focus();
  }

  document.addEventListener("click", (event) => {
    if (!isList()) return;
    storage?.setItem("authfort-list", location.pathname + location.search);
    const row = event.target.closest("a.row");
    if (row) storage?.setItem("authfort-row", row.pathname);
  }, { capture: true });

  function notice(text, takesFocus = true) {
    const place = document.getElementById("notice");
    if (!place) return;
    const said = document.createElement("p");
    said.className = "notice bad";
    said.textContent = text;
    place.replaceChildren(said);
    if (takesFocus) place.focus();
  }

  // New events appear by themselves. The stream says that there are some; the page shows them, unless somebody reads the details
  // of one, or is about to follow a link.
  let stream = null;
  let waits = 0;
  // When the page was last asked for what is new, while it has not answered.
  let asked = 0;

  const isRead = (place) => place.querySelector("details[open], :focus-visible") !== null;
  const isStream = (event) => event.detail.ctx?.sourceElement?.matches("[data-stream]");

  function follow() {
    const place = document.querySelector("[data-stream]");
    const address = place && document.visibilityState === "visible" ? place.dataset.stream : undefined;
    if (stream?.address !== address || stream?.source.readyState === EventSource.CLOSED) {
      stream?.source.close();
      stream = null;
      if (address) {
        const source = new EventSource(address);
        stream = { address, source };
        source.addEventListener("open", () => {
          tellLive();
          lookSoon();
        });
        source.addEventListener("message", lookSoon);
        source.addEventListener("error", tellLive);
      }
    }
    tellLive();
  }

  function tellLive() {
    const place = document.getElementById("live");
    if (!place || !stream) return;
    place.hidden = false;
    place.textContent = [
      "Not live yet: connecting…",
      "Live: new events appear by themselves.",
      "No longer live. Show the events again to see what is new.",
    ][stream.source.readyState];
  }

  function lookSoon() {
    if (waits) return;
    waits = setTimeout(() => {
      waits = 0;
      const place = document.querySelector("[data-stream]");
      if (!place) return;
      if (Date.now() - asked < 30000 || isRead(place)) lookSoon();
      else htmx.trigger(place, "news");
    }, 1000);
  }

  document.addEventListener("htmx:before:swap", (event) => {
    if (!isStream(event) || !isRead(event.detail.ctx.sourceElement)) return;
    event.preventDefault();
    lookSoon();
  });
  document.addEventListener("htmx:finally:request", (event) => {
    if (isStream(event)) asked = 0;
  });

  document.addEventListener("visibilitychange", follow);
  document.addEventListener("htmx:after:swap", () => {
    dress(document);
    follow();
  });
  document.addEventListener("htmx:before:request", (event) => {
    if (isStream(event)) asked = Date.now();
    else if (!event.target.matches("[data-live]")) document.getElementById("notice")?.replaceChildren();
  });
  document.addEventListener("htmx:error", (event) => {
    const name = event.detail.error?.name;
    if (name === "AbortError" && event.detail.ctx?.request?.signal?.reason !== "timeout") return;
    if (event.detail.ctx?.sourceElement?.matches("[data-live], [data-stream]")) {
      notice("The server does not answer. What is shown here may be old.", false);
      return;
    }
    notice("The server did not answer. Whether anything was done is not known: look at the page again before you repeat it.");
  });

  // What others do shows on an open page, while somebody looks at it and types nothing into a form.
  setInterval(() => {
    if (document.visibilityState !== "visible" || document.querySelector("form.fields")) return;
    for (const part of document.querySelectorAll("[data-live]")) htmx.trigger(part, "look");
  }, 5000);

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const text = document.querySelector(button.dataset.copy).textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not copied";
    }
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });

  function isDirty() {
    const isOther = (field) => {
      if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
      if (!field.options) return field.value !== field.defaultValue;
      const first = [...field.options].findIndex((option) => option.defaultSelected);
      return field.selectedIndex !== Math.max(first, 0);
    };
    // After a refusal, what was typed is what the page was made with.
    const refused = document.querySelector("form.fields") && document.querySelector("main .notice.bad[role], #notice > *");
    return Boolean(refused) || [...document.querySelectorAll("form.fields :is(input, textarea, select)")].some(isOther);
  }

  function move(step) {
    const rows = [...document.querySelectorAll("a.row")];
    if (rows.length === 0) return false;
    const at = rows.indexOf(document.activeElement);
    rows[at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(Math.max(at + step, 0), rows.length - 1)].focus();
    return true;
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const field = event.target.closest("input, select, textarea");
    const search = document.getElementById("query");
    if (event.key === "Escape" && field) {
      field.blur();
    } else if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
      // What was typed is not thrown away.
      if (!isDirty()) document.getElementById("back")?.click();
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && (!field || field === search)) {
      if (move(event.key === "ArrowDown" ? 1 : -1)) event.preventDefault();
    } else if (field) {
      return;
    } else if (event.key === "/" && search) {
      event.preventDefault();
      search.focus();
      search.select();
    } else if (event.key === "?") {
      document.getElementById("keys")?.showModal();
    }
  });

  dress(document);
  follow();
})();
