// The row of figures: rate, times, what is under way, what failed.

import { amount, byId, clock, milliseconds, plain, setText, shape } from "./parts.js";

const NEWS = 300; // seconds for which a crash is bad news

export function showFigures(traffic, formation, history, now) {
  setText(byId("rate"), amount(traffic.rate));
  drawRates(traffic.rates);
  setText(byId("p50"), milliseconds(traffic.p50_ms));
  setText(byId("p99"), milliseconds(traffic.p99_ms));
  setText(byId("in-flight"), String(formation.processes.reduce((sum, each) => sum + each.in_flight, 0)));
  setText(byId("queued"), String(traffic.queued));
  setText(byId("wait"), milliseconds(traffic.wait_p99_ms));
  setText(byId("failed"), amount(traffic.failed));
  setText(byId("retried"), amount(traffic.retried));
  setText(byId("crashes"), amount(traffic.crashes));
  const last = history.findLast((entry) => entry.kind === "crash");
  setText(byId("last-crash"), last ? plain(`${last.name ?? "router"}: ${last.text}, ${clock(last.at)}`, 80) : "since the start");
  byId("failed").classList.toggle("bad", traffic.failed > 0);
  byId("queued").classList.toggle("bad", traffic.queued > 0);
  byId("crashes").classList.toggle("bad", last !== undefined && now - last.at < NEWS);
}

function drawRates(rates) {
  const [width, height, most] = [rates.length * 4, 36, Math.max(1, ...rates)];
  const drawing = byId("rates");
  drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
  drawing.replaceChildren(
    ...rates.map((count, index) => {
      const tall = count === 0 ? 1 : Math.max(2, (count / most) * (height - 1));
      return shape("rect", { x: index * 4, y: height - tall, width: 3, height: tall, class: count === 0 ? "none" : "bar" });
    }),
  );
}
