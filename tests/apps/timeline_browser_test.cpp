// The timeline page in a real browser: Debian's chromium, headless, without a network.
#include <doctest/doctest.h>

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
  const click = at => { for (const what of ["pointerdown", "pointerup"]) canvas.dispatchEvent(new PointerEvent(what, at)); };
  click(spot);
  say("picked", picked === index);
  say("detail", ["load 1.1 (raw)", "add 1.4 (raw)"].every(part => el("detail").textContent.includes(part)));
  el("search").value = "mat"; el("search").dispatchEvent(new Event("input"));
  say("found", el("found").textContent);
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

TEST_CASE("the timeline page works in a browser: lanes, tasks, zoom, details, no console errors") {
  if (shell("command -v chromium").exit != 0) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): read only
    REQUIRE_MESSAGE(std::getenv("CI") == nullptr, "where every test counts, this one is not skipped");
    MESSAGE("skipped: no chromium here (apt-get install chromium)");
    return;
  }
  const troupe::test::TemporaryFolder folder;
  std::ostringstream page;
  troupe::apps::write_html(troupe::test::synthetic_trace(), page);
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
  for (const char* expected :
       {R"(data-lanes="4")", R"(data-tasks="3")", R"(data-zoomed="true")", R"(data-fitted="true")",
        R"(data-moved="true")", R"(data-tip="matmul")", R"(data-picked="true")", R"(data-detail="true")",
        R"(data-found="1 found")", R"(data-folded="true")", R"(data-legend="true")",
        R"(data-path="load,matmul,add")", R"(data-problem="true")", R"(data-next="true")"}) {
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
