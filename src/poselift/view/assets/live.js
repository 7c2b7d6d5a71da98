"use strict";
// The live page: newest frame in, drawn at once. 3D is a plain canvas with its own perspective: x right, y away, z up.
const $ = id => document.getElementById(id);
const space = $("space"), image = $("image"), picture = new Image();
const START = { yaw: 0.5, pitch: 0.2, zoom: 1 };
let view = { ...START }, state = null, target = null, floor = null, reach = 0, pending = null, loading = false, over = false;

function fit(canvas, height) {
  const r = window.devicePixelRatio || 1, w = canvas.clientWidth, h = height || canvas.clientHeight;
  if (canvas.width !== Math.round(w * r) || canvas.height !== Math.round(h * r)) {
    if (height) canvas.style.height = h + "px";
    canvas.width = Math.round(w * r); canvas.height = Math.round(h * r);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(r, 0, 0, r, 0, 0);
  return [pen, w, h];
}

const mean = (points, k) => points.reduce((s, p) => s + p[k], 0) / points.length;
const hue = (person, j, bright) => (bright ? person.bright : person.colours)["l-r".indexOf(person.sides[j])];

function drawImage() {
  if (!state) return;
  const [W, H] = state.size, [pen, w, h] = fit(image, Math.max(60, image.clientWidth * H / W));
  const s = w / W;
  pen.clearRect(0, 0, w, h);
  if (picture.complete && picture.naturalWidth) pen.drawImage(picture, 0, 0, w, h);
  pen.lineCap = "round";
  for (const person of state.people) {
    const at = j => [(person.kp[j][0] + 0.5) * s, (person.kp[j][1] + 0.5) * s];
    for (const edge of [true, false]) for (const [c, p] of person.bones) {
      const sure = Math.min(person.conf[c], person.conf[p]);
      if (sure <= 0) continue;
      pen.globalAlpha = (0.35 + 0.65 * sure) * (edge ? 0.6 : 1);
      pen.strokeStyle = edge ? "#10141a" : hue(person, c, true);
      pen.lineWidth = edge ? 4.6 : 2.8;
      pen.beginPath(); pen.moveTo(...at(p)); pen.lineTo(...at(c)); pen.stroke();
    }
    const seen = person.kp.map((_, j) => j).filter(j => person.conf[j] > 0);
    if (seen.length) {
      const top = seen.reduce((a, b) => (person.kp[b][1] < person.kp[a][1] ? b : a));
      pen.globalAlpha = 1; pen.font = "600 13px system-ui, sans-serif"; pen.textAlign = "center";
      pen.lineWidth = 3; pen.strokeStyle = "#10141acc"; pen.fillStyle = "#fff";
      const [x, y] = at(top);
      pen.strokeText(person.id, x, Math.max(14, y - 12)); pen.fillText(person.id, x, Math.max(14, y - 12));
    }
  }
  pen.globalAlpha = 1;
}

// World point -> [x, y, depth] on a canvas of w x h.
function lens(w, h) {
  const cy = Math.cos(view.yaw), sy = Math.sin(view.yaw), cp = Math.cos(view.pitch), sp = Math.sin(view.pitch);
  const away = Math.max(4.2, 3 * reach) / view.zoom, focal = 1.25 * Math.min(w, h * 1.2);
  const see = p => {
    const x = p[0] - target[0], y = p[1] - target[1], z = p[2] - target[2];
    const u = cy * x - sy * y, v = sy * x + cy * y;
    const depth = cp * v - sp * z + away, up = cp * z + sp * v;
    return [w / 2 + focal * u / depth, h / 2 - focal * up / depth, depth, focal / depth];
  };
  see.away = away;
  return see;
}

function line3(pen, see, a, b) {
  const p = see(a), q = see(b);
  if (p[2] < 0.2 || q[2] < 0.2) return;
  pen.beginPath(); pen.moveTo(p[0], p[1]); pen.lineTo(q[0], q[1]); pen.stroke();
}

function drawFloor(pen, see) {
  const x0 = Math.round(target[0]), y0 = Math.round(target[1]);
  for (let i = -8; i <= 8; i++) {
    pen.strokeStyle = i % 2 ? "#e6eaf0" : "#d3dae4"; pen.lineWidth = i % 2 ? 0.8 : 1.2;
    for (let k = -8; k < 8; k++) {
      pen.globalAlpha = Math.max(0, 1 - Math.hypot(i, k + 0.5) / 9);
      line3(pen, see, [x0 + i / 2, y0 + k / 2, floor], [x0 + i / 2, y0 + (k + 1) / 2, floor]);
      line3(pen, see, [x0 + k / 2, y0 + i / 2, floor], [x0 + (k + 1) / 2, y0 + i / 2, floor]);
    }
  }
  pen.globalAlpha = 1;
}

function drawCamera(pen, see) {
  const [W, H] = state.size, s = 0.3, a = s * (state.tan || 0.5), b = a * H / W;
  const corners = [[-a, s, -b], [a, s, -b], [a, s, b], [-a, s, b]];
  pen.strokeStyle = "#46505e"; pen.lineWidth = 1.3;
  corners.forEach((c, i) => { line3(pen, see, [0, 0, 0], c); line3(pen, see, c, corners[(i + 1) % 4]); });
}

function drawPeople(pen, see) {
  const strokes = [];
  for (const person of state.people) {
    if (!person.p) continue;
    pen.fillStyle = "#1d2530"; pen.globalAlpha = 0.07;  // a soft shadow where each joint stands over the floor
    for (const p of person.p) {
      const q = see([p[0], p[1], floor]);
      if (q[2] > 0.2) { pen.beginPath(); pen.ellipse(q[0], q[1], 0.1 * q[3], 0.1 * q[3] * Math.max(0.12, Math.sin(view.pitch)), 0, 0, 7); pen.fill(); }
    }
    pen.globalAlpha = 1;
    person.bones.forEach(([c, p], i) => {
      const a = see(person.p[p]), b = see(person.p[c]);
      if (a[2] > 0.2 && b[2] > 0.2)
        strokes.push({ a, b, depth: (a[2] + b[2]) / 2, wide: 2 * person.thick[i] * (person.conf[c] > 0 ? 1 : 0.3), hue: hue(person, c, false) });
    });
  }
  strokes.sort((s, t) => t.depth - s.depth);
  pen.lineCap = "round";
  for (const s of strokes) {
    const wide = Math.max(1.5, s.wide * (s.a[3] + s.b[3]) / 2);
    const shade = Math.max(0, Math.min(0.35, (s.depth - see.away) * 0.06));
    const inset = 0.12, x = s.b[0] - s.a[0], y = s.b[1] - s.a[1];
    pen.strokeStyle = "#fff"; pen.lineWidth = wide + 3;
    pen.beginPath(); pen.moveTo(s.a[0] + inset * x, s.a[1] + inset * y); pen.lineTo(s.b[0] - inset * x, s.b[1] - inset * y); pen.stroke();
    for (const [ink, part, alpha] of [[s.hue, 1, 1], ["#000", 1, 0.16], [s.hue, 0.72, 1], ["#fff", 0.3, 0.22], ["#fff", 1, shade]]) {
      pen.globalAlpha = alpha; pen.strokeStyle = ink; pen.lineWidth = wide * part;
      pen.beginPath(); pen.moveTo(s.a[0], s.a[1]); pen.lineTo(s.b[0], s.b[1]); pen.stroke();
    }
    pen.globalAlpha = 1;
  }
}

function drawSpace() {
  const [pen, w, h] = fit(space);
  pen.clearRect(0, 0, w, h);
  if (!state || !target) return;
  const see = lens(w, h);
  drawFloor(pen, see); drawCamera(pen, see); drawPeople(pen, see);
}

function draw() { drawImage(); drawSpace(); }

function follow() {
  const there = state.people.filter(p => p.p);
  if (!there.length) { target = target || [0, 3, 0]; floor = floor === null ? -1 : floor; return; }
  const joints = there.flatMap(p => p.p), middle = [mean(joints, 0), mean(joints, 1), mean(joints, 2)];
  target = target ? target.map((v, k) => v + 0.08 * (middle[k] - v)) : middle;
  const far = Math.max(...joints.map(p => Math.hypot(p[0] - middle[0], p[1] - middle[1])));
  reach = reach ? reach + 0.08 * (far - reach) : far;  // people far from each other are seen from further away
  floor = floor === null ? state.ground : floor + 0.1 * (state.ground - floor);
}

function legend() {
  const key = state.people.map(p => p.id + p.colours.join()).join(";");
  if (legend.last === key) return;
  legend.last = key;
  $("legend").replaceChildren(...state.people.map(p => {
    const row = document.createElement("li"), who = document.createElement("span");
    who.className = "who"; who.textContent = "person " + p.id; row.append(who);
    [["left", 0], ["trunk", 1], ["right", 2]].forEach(([name, k]) => {
      const chip = document.createElement("span"), ink = document.createElement("i");
      chip.className = "chip"; ink.style.background = p.colours[k]; chip.append(ink, name); row.append(chip);
    });
    return row;
  }));
}

function take(news) {
  state = news;
  follow(); legend();
  const n = state.people.length;
  if (!over) $("status").textContent = `live · ${n === 1 ? "1 person" : n + " people"} · ${state.rate.toFixed(0)} frames/s · ` +
    `${state.behind_ms.toFixed(0)} ms behind · ${state.seconds.toFixed(1)} s`;
  draw();
}

// A frame is shown with its own picture; while one is being decoded, only the newest of those that come is kept.
function next() {
  if (loading || !pending) return;
  const news = pending;
  pending = null; loading = true;
  picture.onload = picture.onerror = () => { loading = false; take(news); next(); };
  picture.src = "data:image/jpeg;base64," + news.picture;
}

const events = new EventSource("/events");
events.onmessage = e => { pending = JSON.parse(e.data); next(); };
events.addEventListener("over", e => { events.close(); over = true; $("status").textContent = JSON.parse(e.data); $("status").className = "summary over"; });
events.onerror = () => { $("status").textContent = "no connection: poselift has ended"; $("status").className = "summary over"; };
events.onopen = () => { $("status").className = "summary"; };

space.addEventListener("pointerdown", e => space.setPointerCapture(e.pointerId));
space.addEventListener("pointermove", e => {
  if (!e.buttons) return;
  view.yaw -= e.movementX * 0.008;
  view.pitch = Math.max(-0.2, Math.min(1.5, view.pitch + e.movementY * 0.006));
  drawSpace();
});
space.addEventListener("wheel", e => {
  e.preventDefault();
  view.zoom = Math.max(0.2, Math.min(5, view.zoom * Math.exp(-e.deltaY * 0.001)));
  drawSpace();
}, { passive: false });
space.addEventListener("dblclick", () => { view = { yaw: 0, pitch: 0.05, zoom: 1 }; drawSpace(); });
window.addEventListener("resize", draw);
