// Draws each figure when it is first seen, fits it to its legend, and shows what is about the chosen model.
"use strict";

const BUTTONS = ["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d", "toImage"];

async function show(plot) {
  if (!plot.classList.contains("js-plotly-plot")) {
    const figure = JSON.parse(plot.nextElementSibling.textContent);
    const options = {responsive: true, displaylogo: false, modeBarButtons: [BUTTONS]};
    options.toImageButtonOptions = {filename: plot.id, scale: 2};
    await Plotly.newPlot(plot, figure.data, figure.layout, options);
  }
  await fit(plot);
}

// The part with the points keeps its height, however many rows the legend takes at this width.
async function fit(plot) {
  await Plotly.Plots.resize(plot);
  const box = plot.querySelector(".legend");
  const legend = box ? Math.ceil(box.getBBox().height) + 8 : 0;
  const {plot: height, below} = plot.layout.meta;
  const margin = below + legend;
  const whole = height + plot.layout.margin.t + margin;
  if (whole !== plot.layout.height) await Plotly.relayout(plot, {height: whole, "margin.b": margin});
}

const visible = () => [...document.querySelectorAll(".plot")].filter((plot) => plot.offsetParent !== null);

async function showAll() {
  for (const plot of visible()) await show(plot);
}

async function choose(model) {
  for (const part of document.querySelectorAll("[data-model]")) part.hidden = part.dataset.model !== model;
  await showAll();
  for (const plot of visible()) {
    const marks = plot.data.flatMap((trace, index) => (trace.meta && trace.meta.model ? [index] : []));
    const seen = marks.map((index) => plot.data[index].meta.model === model);
    if (marks.length) await Plotly.restyle(plot, {visible: seen}, marks);
  }
}

const chooser = document.getElementById("model");
if (chooser) chooser.addEventListener("change", () => choose(chooser.value));
const first = document.querySelector("[data-model]");
choose(chooser ? chooser.value : first ? first.dataset.model : "");
let waiting;
addEventListener("resize", () => {
  clearTimeout(waiting);
  waiting = setTimeout(showAll, 200);
});
