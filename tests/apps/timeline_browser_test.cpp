// The timeline page in a real browser: Debian's chromium, headless, without a network.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "apps/synthetic_trace.hpp"
#include "support/shell.hpp"
#include "support/temporary_folder.hpp"
#include "trace/html.hpp"

namespace {

using troupe::test::shell;

/// What a person does, then what they see, as attributes of the body.
constexpr const char* robot = R"js(<script>
  const say = (key, value) => { document.body.dataset[key] = value; };
  const press = key => document.dispatchEvent(new KeyboardEvent("keydown", {key}));
  say("colors", new Set(new Uint32Array(ink.getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size);
  const whole = to - from;
  press("w"); say("zoomed", to - from < whole);
  press("f"); say("fitted", Math.abs((to - from) / whole - 1) < 1e-9);
  const left = from; press("d"); say("moved", from > left); fit();
  say("legend", el("detail").textContent.includes("matmul: 1 × 30.00 µs"));
  press("c"); say("path", el("critical").checked && trace.critical.map(i => text(spans[i][NAME])).join()); press("c");
  press("e"); say("problem", el("detail").textContent.includes("is not 5"));
  press("e"); say("next", el("detail").textContent.includes("did not run")); press("Escape");
  const index = spans.findIndex(span => text(span[NAME]) === "matmul"), span = spans[index];
  const box = canvas.getBoundingClientRect();
  const spot = {clientX: box.left + (x(span[START]) + x(span[END])) / 2,
                clientY: box.top + lanes[span[LANE]].y + 9, pointerId: 1};
  canvas.setPointerCapture = () => {};
  canvas.dispatchEvent(new PointerEvent("pointermove", spot));
  say("tip", el("tip").textContent.split("\n")[0]);
  const move = spans.find(span => span[KIND] === "move");
  canvas.dispatchEvent(new PointerEvent("pointermove", {
    clientX: box.left + (x(move[START]) + x(move[END])) / 2, clientY: box.top + lanes[move[LANE]].y + 9, pointerId: 1}));
  say("bytes", el("tip").textContent.includes("bytes: 4,096"));
  const click = at => { for (const what of ["pointerdown", "pointerup"]) canvas.dispatchEvent(new PointerEvent(what, at)); };
  click(spot);
  say("picked", picked === index);
  say("detail", ["load 1.1 (raw)", "add 1.4 (raw)"].every(part => el("detail").textContent.includes(part)));
  say("linked", Number(document.body.dataset.arrows) === 2);
  // Shift and drag over the first 10 us: load alone ran then.
  const sweep = (a, b) => {
    for (const [what, t] of [["pointerdown", a], ["pointermove", (a + b) / 2], ["pointermove", b], ["pointerup", b]]) {
      canvas.dispatchEvent(new PointerEvent(what, {clientX: box.left + x(t), clientY: spot.clientY, shiftKey: true, pointerId: 1}));
    }
  };
  sweep(first + 2000, first + 8000);
  say("range", ["6.000 µs", "load: 1 span, 6.000 µs", "100.0 %"].every(part => el("detail").textContent.includes(part)));
  say("shown", from < first && to > last);  // it selects, and moves nothing
  press("Escape"); say("unselected", range === null && el("detail").textContent.includes("Shift+drag"));
  const high = rowHeight;
  say("filled", high > leastRow && total <= view.clientHeight);
  el("search").value = "mat"; el("search").dispatchEvent(new Event("input"));
  say("found", el("found").textContent);
  press("o");
  say("filtered", groups.filter(group => !group.hidden).length === 1 && Number(document.body.dataset.drawn) === 1);
  press("o");
  say("whole", groups.every(group => !group.hidden));
  const dark = document.documentElement.classList.contains("dark"), back = style("--back");
  press("t"); say("dressed", document.documentElement.classList.contains("dark") !== dark && style("--back") !== back); press("t");
  // A group has a span per member: all are part of what is picked, and of its arrows.
  const one = spans.findIndex(span => text(span[NAME]) === "exchange");
  pick(one); say("group", el("detail").textContent.includes("2 parts") && Number(document.body.dataset.arrows) === 2); pick(-1);
  // However many.
  const parts = byTask.get(spans[one][TASK]);
  for (let i = 0; i < 200; ++i) parts.push(parts[i % 2]);
  pick(one);
  say("every", el("detail").querySelectorAll("div a").length >= 202 && !el("detail").textContent.includes(" more"));
  parts.length = 2; pick(-1);
  const tall = total;
  click({...spot, clientY: box.top + groups[1].y + 5});
  say("folded", total < tall);
</script>)js";

std::string browser(const troupe::test::TemporaryFolder& folder) {
  return "timeout 120 chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
         "--disable-background-networking --disable-component-update --disable-sync "
         "--enable-logging=stderr --v=0 --window-size=1200,700 --user-data-dir=" +
         (folder / "profile");
}

/// The run whose figures are known, and a group of two members behind its first task.
troupe::actors::Trace with_group() {
  auto trace = troupe::test::synthetic_trace();
  const auto named = [&](const std::string& name) {
    return *std::ranges::find_if(trace.spans,
                                 [&](const auto& span) { return trace.text(span.name) == name; });
  };
  const auto load = named("load"), add = named("add");
  auto member = load;
  member.task = 9 * troupe::actors::task_step;
  member.parent = 0;
  member.kind = troupe::actors::SpanKind::chip;
  member.name = member.callable = static_cast<decltype(member.name)>(trace.texts.size());
  trace.texts.emplace_back("exchange");
  member.start = load.end + 10'000;
  member.end = member.start + 10'000;
  trace.edges.push_back({load.task, member.task, troupe::actors::EdgeKind::raw});
  trace.spans.push_back(member);
  member.part = 1;
  member.lane = add.lane;
  trace.spans.push_back(member);
  normalize(trace);
  return trace;
}

TEST_CASE("the timeline page works in a browser: lanes, tasks, zoom, details, no console errors") {
  if (shell("command -v chromium").exit != 0) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): read only
    REQUIRE_MESSAGE(std::getenv("CI") == nullptr, "where every test counts, this one is not skipped");
    MESSAGE("skipped: no chromium here (apt-get install chromium)");
    return;
  }
  const troupe::test::TemporaryFolder folder;
  std::ostringstream page;
  troupe::apps::write_html(with_group(), page);
  std::ofstream(folder / "plain.html") << page.str();
  std::string driven = page.str();
  driven.insert(driven.rfind("</body>"), robot);
  std::ofstream(folder / "driven.html") << driven;

  const auto dom =
      shell(browser(folder) + " --dump-dom file://" + (folder / "driven.html") + " 2>" + (folder / "log"));
  REQUIRE(dom.exit == 0);
  const auto begin = dom.output.find("<body");
  REQUIRE(begin != std::string::npos);
  const std::string body = dom.output.substr(begin, dom.output.find('>', begin) - begin);
  CAPTURE(body);
  for (const char* expected : {R"(data-lanes="5")",
                               R"(data-bytes="true")",
                               R"(data-tasks="4")",
                               R"(data-zoomed="true")",
                               R"(data-fitted="true")",
                               R"(data-moved="true")",
                               R"(data-tip="matmul")",
                               R"(data-picked="true")",
                               R"(data-detail="true")",
                               R"(data-found="1 found")",
                               R"(data-folded="true")",
                               R"(data-legend="true")",
                               R"(data-path="load,matmul,add")",
                               R"(data-problem="true")",
                               R"(data-next="true")",
                               R"(data-linked="true")",
                               R"(data-range="true")",
                               R"(data-shown="true")",
                               R"(data-unselected="true")",
                               R"(data-filled="true")",
                               R"(data-filtered="true")",
                               R"(data-whole="true")",
                               R"(data-dressed="true")",
                               R"(data-group="true")",
                               R"(data-every="true")"}) {
    CAPTURE(expected);
    CHECK(body.find(expected) != std::string::npos);
  }
  const auto colors = body.find("data-colors=\"");
  REQUIRE(colors != std::string::npos);
  CHECK(std::stoi(body.substr(colors + 13)) > 8);  // a blank canvas has one

  const std::string picture = folder / "timeline.png";
  const auto shot = shell(browser(folder) + " --screenshot=" + picture + " file://" +
                          (folder / "plain.html") + " 2>>" + (folder / "log"));
  CHECK(shot.exit == 0);
  // An empty page of this size compresses to about 5 kB.
  REQUIRE(std::filesystem::exists(picture));
  CHECK(std::filesystem::file_size(picture) > 12'000);

  std::ifstream log(folder / "log");
  for (std::string line; std::getline(log, line);) {
    CAPTURE(line);
    CHECK(line.find("CONSOLE") == std::string::npos);
  }
}

}  // namespace
