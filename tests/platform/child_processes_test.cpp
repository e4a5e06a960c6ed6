#include "troupe/platform/child_processes.hpp"

#include <doctest/doctest.h>

#include "troupe/platform/errc.hpp"

using namespace troupe;
using namespace troupe::platform;

namespace {
struct Heard {
  std::vector<std::string> lines;
  std::vector<ChildEnd> ends;
  ChildProcesses::Request shell(const std::string& script, std::chrono::milliseconds timeout = {}) {
    return {{"/bin/sh", "-c", script},
            timeout,
            [this](std::string_view line) { lines.emplace_back(line); },
            [this](const ChildEnd& end) { ends.push_back(end); }};
  }
};
}  // namespace

TEST_CASE("each way to end is told in words of its own") {
  using std::chrono::milliseconds;
  CHECK(render(ChildEnd{.exit_code = 3}) == "exit code 3");
  CHECK(render(ChildEnd{.signal = 11}) == "killed by signal 11 (Segmentation fault)");
  CHECK(render(ChildEnd{.signal = 9, .timed_out = true, .took = milliseconds(60'000)}) ==
        "timed out after 60.0 s");
  CHECK(render(ChildEnd{.timed_out = true, .took = milliseconds(1'300)}) == "timed out after 1.3 s");
}

TEST_CASE("a child's lines and its exit code are heard") {
  Heard heard;
  ChildProcesses children;
  REQUIRE(children.start(heard.shell("echo one; echo two >&2; printf three; exit 3")));
  children.run();
  CHECK(heard.lines == std::vector<std::string>{"one", "two", "three"});
  REQUIRE(heard.ends.size() == 1);
  CHECK(heard.ends[0].exit_code == 3);
  CHECK(render(heard.ends[0]) == "exit code 3");
}

TEST_CASE("a child that dies of a signal says which") {
  Heard heard;
  ChildProcesses children;
  REQUIRE(children.start(heard.shell("kill -ABRT $$")));
  children.run();
  REQUIRE(heard.ends.size() == 1);
  CHECK(heard.ends[0].signal == 6);
  CHECK(!heard.ends[0].success());
}

TEST_CASE("a child beyond its time is killed with everything it has started") {
  Heard heard;
  ChildProcesses children;
  // The grandchild holds the pipe open: only killing the whole group ends the test at once.
  REQUIRE(children.start(heard.shell("sleep 1000 & echo begun; wait", std::chrono::milliseconds{200})));
  REQUIRE(children.start(heard.shell("exit 0")));
  children.run();
  // Which of them ends first, and whether the shell has come to speak by then, is the machine's affair.
  REQUIRE(heard.ends.size() == 2);
  CHECK(heard.ends[0].timed_out != heard.ends[1].timed_out);
  CHECK((heard.ends[0].success() || heard.ends[1].success()));
}

TEST_CASE("a child may be started when another one ends") {
  Heard heard;
  ChildProcesses children;
  auto first = heard.shell("exit 1");
  first.on_end = [&](const ChildEnd&) { REQUIRE(children.start(heard.shell("exit 0"))); };
  REQUIRE(children.start(std::move(first)));
  children.run();
  REQUIRE(heard.ends.size() == 1);
  CHECK(heard.ends[0].exit_code == 0);
}

TEST_CASE("a program that does not exist is an error that names it") {
  ChildProcesses children;
  const auto started = children.start({{"/no/such/program"}, {}, nullptr, nullptr});
  REQUIRE(!started);
  CHECK(started.error() == Errc::system);
  CHECK(started.error().message().find("/no/such/program") != std::string::npos);
}
