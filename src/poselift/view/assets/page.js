"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const bytes = (b64) => Uint8Array.from(atob(b64), (c) => c.charCodeAt(0));
  for (const t of data.tracks) {
    const raw = bytes(t.xy);
    t.xy = new Int16Array(raw.buffer, 0, raw.byteLength / 2);
    t.conf = bytes(t.conf);
  }
  const n = data.frames.length;
  const seen = (t, k) => {
    for (let j = 0; j < t.joints; j++) if (t.conf[k * t.joints + j]) return true;
    return false;
  };
  for (const t of data.tracks) t.seen = data.frames.map((_, k) => seen(t, k));

  // The 3D scene is viser's own page in a frame. Its time line is the clock of this page; where it cannot
  // be read (no WebGL, another browser policy), the page runs a clock of its own.
  const frame = document.getElementById("scene");
  frame.srcdoc = JSON.parse(document.getElementById("recording").textContent);
  let hooked = null;
  const slider = () => {
    try {
      const bar = n > 1 ? frame.contentDocument.querySelector('[role="slider"]') : null;
      if (bar && hooked !== bar) {
        hooked = bar;
        frame.contentDocument.addEventListener("keydown", keys, true);
      }
      return bar;
    } catch { return null; }
  };
  const inBar = (selector) => {
    let bar = slider();
    for (let i = 0; bar && i < 6; i++, bar = bar.parentElement) {
      const found = bar.querySelector(selector);
      if (found) return found;
    }
    return null;
  };

  let own = 0, running = true, before = performance.now();
  const play = document.getElementById("play");
  play.onclick = () => { running = !running; play.textContent = running ? "Pause" : "Play"; };
  const clock = (now) => {
    const bar = slider();
    const t = bar ? parseFloat(bar.getAttribute("aria-valuenow")) : NaN;
    const known = Number.isFinite(t);
    play.hidden = known || n < 2;
    document.getElementById("keys").hidden = n < 2;
    if (known) own = t;
    else if (running && data.duration > 0) own = (own + (now - before) / 1000) % data.duration;
    before = now;
    return own;
  };
  const seek = (t) => {
    own = Math.min(Math.max(t, 0), data.duration);
    const field = inBar("input[inputmode]");
    if (field) {
      const view = frame.contentWindow, had = view.document.activeElement === field;
      field.focus = () => {}; // writing a value must not take the keyboard away
      Object.getOwnPropertyDescriptor(view.HTMLInputElement.prototype, "value").set.call(field, own.toFixed(4));
      field.dispatchEvent(new view.Event("input", { bubbles: true }));
      if (!had) field.blur();
    } else if (running) play.click();
  };
  const at = (t) => {
    let lo = 0, hi = n - 1;
    while (lo < hi) {
      const mid = (lo + hi + 1) >> 1;
      if (data.seconds[mid] <= t + 1e-3) lo = mid; else hi = mid - 1;
    }
    return lo;
  };
  let current = 0;
  const step = (by) => {
    const k = Math.min(Math.max(current + by, 0), n - 1);
    seek(data.seconds[k] + 0.2 / data.fps);
  };
  function keys(e) {
    if (/^(INPUT|TEXTAREA|SELECT|BUTTON)$/.test((e.target || {}).tagName || "")) return;
    if (e.key === "ArrowLeft") step(e.shiftKey ? -10 : -1);
    else if (e.key === "ArrowRight") step(e.shiftKey ? 10 : 1);
    else if (e.key === " " && e.view === window) (inBar("button") || play).click(); // inside the frame viser does it
    else return;
    e.preventDefault();
    e.stopImmediatePropagation();
  }
  document.addEventListener("keydown", keys);

  // 2D input.
  const image = document.getElementById("image"), strip = document.getElementById("strip");
  const zoom = document.getElementById("zoom");
  let close = false;
  const [w, h] = data.size;
  const [x0, y0, x1, y1] = data.box;
  const small = Math.max((x1 - x0) / w, (y1 - y0) / h) < 0.75;
  zoom.hidden = !small;
  zoom.onclick = () => {
    close = !close;
    zoom.setAttribute("aria-pressed", close);
    zoom.textContent = close ? "Whole image" : "Zoom in";
    drawn = "";
  };
  const fit = (canvas, cssHeight) => {
    const r = window.devicePixelRatio || 1, cw = canvas.clientWidth;
    canvas.style.height = cssHeight + "px";
    const [pw, ph] = [Math.round(cw * r), Math.round(cssHeight * r)];
    if (canvas.width !== pw || canvas.height !== ph) [canvas.width, canvas.height] = [pw, ph];
    const c = canvas.getContext("2d");
    c.setTransform(r, 0, 0, r, 0, 0);
    c.clearRect(0, 0, cw, cssHeight);
    return [c, cw, cssHeight];
  };
  const drawImage = (k) => {
    const bw = Math.max(x1 - x0, 40), bh = Math.max(y1 - y0, 40);
    const view = close ? [x0 - 0.15 * bw, y0 - 0.15 * bh, 1.3 * bw, 1.3 * bh] : [-0.5, -0.5, w, h];
    const high = Math.min(image.clientWidth * Math.min(view[3] / view[2], 1.6), window.innerHeight * 0.5);
    const [c, cw, ch] = fit(image, Math.max(140, high));
    const s = Math.min(cw / view[2], ch / view[3]);
    const ox = (cw - s * view[2]) / 2 - s * view[0], oy = (ch - s * view[3]) / 2 - s * view[1];
    c.fillStyle = "#1b222d";
    c.fillRect(ox - 0.5 * s, oy - 0.5 * s, w * s, h * s);
    c.strokeStyle = "rgba(255,255,255,.06)";
    c.lineWidth = 1;
    c.beginPath();
    for (const f of [1 / 3, 2 / 3]) {
      c.moveTo(ox + w * f * s, oy); c.lineTo(ox + w * f * s, oy + h * s);
      c.moveTo(ox, oy + h * f * s); c.lineTo(ox + w * s, oy + h * f * s);
    }
    c.stroke();
    c.lineCap = "round";
    for (const t of data.tracks) {
      if (!t.seen[k]) continue;
      const colour = { l: t.bright[0], "-": t.bright[1], r: t.bright[2] };
      const p = (j) => [ox + s * t.xy[(k * t.joints + j) * 2] / data.scale, oy + s * t.xy[(k * t.joints + j) * 2 + 1] / data.scale];
      const conf = (j) => t.conf[k * t.joints + j] / 255;
      const lw = close ? 4 : 2.6;
      for (const [a, b] of t.bones) {
        if (!conf(a) || !conf(b)) continue;
        c.globalAlpha = 0.25 + 0.75 * Math.min(conf(a), conf(b));
        c.strokeStyle = colour[t.sides[a]];
        c.lineWidth = lw;
        c.beginPath(); c.moveTo(...p(a)); c.lineTo(...p(b)); c.stroke();
      }
      for (let j = 0; j < t.joints; j++) {
        if (!conf(j)) continue;
        c.globalAlpha = 0.35 + 0.65 * conf(j);
        c.fillStyle = colour[t.sides[j]];
        c.beginPath(); c.arc(...p(j), lw * 0.95, 0, 7); c.fill();
      }
      c.globalAlpha = 1;
    }
    if (!data.tracks.some((t) => t.seen[k])) {
      c.fillStyle = "rgba(255,255,255,.55)"; c.font = "13px system-ui, sans-serif"; c.textAlign = "center";
      c.fillText("nobody seen in this frame", cw / 2, ch / 2);
    }
  };

  // Who is in sight when, and where we are.
  const drawStrip = (t) => {
    const row = data.tracks.length > 12 ? 3 : 6, gap = data.tracks.length > 12 ? 1 : 3;
    const [c, cw, ch] = fit(strip, 8 + data.tracks.length * (row + gap));
    const x = (s) => (data.duration ? s / data.duration : 0) * (cw - 2) + 1;
    data.tracks.forEach((track, i) => {
      const y = 4 + i * (row + gap);
      c.fillStyle = "#e9edf2"; c.fillRect(0, y, cw, row);
      c.fillStyle = data.tracks.length > 1 ? track.colours[1] : "#9fb6d3";
      for (let k = 0; k < n;) {
        if (!track.seen[k]) { k++; continue; }
        let e = k;
        while (e < n && track.seen[e]) e++;
        c.fillRect(x(data.seconds[k]), y, Math.max(1, x(e < n ? data.seconds[e] : data.duration) - x(data.seconds[k])), row);
        k = e;
      }
    });
    c.fillStyle = "#1d2530"; c.fillRect(x(t) - 1, 0, 2, ch);
  };
  const grab = (e) => {
    if (e.type === "pointermove" && !(e.buttons & 1)) return;
    if (e.type === "pointerdown") strip.setPointerCapture(e.pointerId);
    const r = strip.getBoundingClientRect();
    seek((e.clientX - r.left) / r.width * data.duration);
  };
  strip.addEventListener("pointerdown", grab);
  strip.addEventListener("pointermove", grab);

  const legend = document.getElementById("legend");
  const chip = (colour, text) => `<span class="chip"><i style="background:${colour}"></i>${text}</span>`;
  data.tracks.forEach((t) => {
    const li = document.createElement("li");
    li.innerHTML = `<span class="who">person ${Number(t.id)}</span>` + chip(t.colours[0], "left") + chip(t.colours[1], "trunk") + chip(t.colours[2], "right");
    legend.append(li);
    t.entry = li;
  });
  if (data.truth) {
    const li = document.createElement("li");
    li.innerHTML = `<span class="who">truth</span>` + chip("#9aa3ad", "thin, grey");
    legend.append(li);
  }

  let drawn = "";
  const tick = (now) => {
    const t = clock(now), k = at(t);
    const key = [k, t.toFixed(3), image.clientWidth, window.innerHeight, close].join();
    if (key !== drawn) {
      drawn = key;
      current = k;
      drawImage(k);
      drawStrip(t);
      document.getElementById("clock").textContent = `frame ${data.frames[k]} · ${data.seconds[k].toFixed(2)} s`;
      strip.setAttribute("aria-valuenow", t.toFixed(2));
      strip.setAttribute("aria-valuemin", 0);
      strip.setAttribute("aria-valuemax", data.duration.toFixed(2));
      for (const track of data.tracks) track.entry.classList.toggle("absent", !track.seen[k]);
    }
    requestAnimationFrame(tick);
  };
  window.poselift = { data, seek, frame: () => current, synced: () => slider() !== null };
  requestAnimationFrame(tick);
})();
