#include "troupe/platform/parallel_runner.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

using namespace troupe::platform;

namespace {

RunnerJob shell(const std::string& name, const std::string& script) {
  return {name, [script](int device) {
            return std::vector<std::string>{"/bin/sh", "-c", script, "job", std::to_string(device)};
          }};
}

struct Printed {
  std::vector<std::string> lines;
  RunnerOptions options(std::vector<int> devices) {
    RunnerOptions result;
    result.devices = std::move(devices);
    result.print = [this](std::string_view line) { lines.emplace_back(line); };
    return result;
  }
  bool has(const std::string& part) const {
    for (const auto& line : lines) {
      if (line.find(part) != std::string::npos) return true;
    }
    return false;
  }
};

}  // namespace

TEST_CASE("jobs are spread over the devices, with a line for each end") {
  Printed printed;
  std::vector<RunnerJob> jobs;
  for (int i = 0; i < 6; ++i) jobs.push_back(shell("job" + std::to_string(i), "exit 0"));
  const auto summary = run_in_parallel(jobs, printed.options({4, 7}));
  CHECK(summary.passed == 6);
  CHECK(summary.exit_code() == 0);
  REQUIRE(printed.lines.size() == 6);
  for (std::size_t i = 0; i < 6; ++i) {
    const auto& line = printed.lines[i];
    CAPTURE(line);
    CHECK((line.starts_with("[dev4] ") || line.starts_with("[dev7] ")));
    CHECK(line.find("[" + std::to_string(i + 1) + "/6] PASS: job") != std::string::npos);
    CHECK(line.ends_with("s)"));
  }
  CHECK(printed.has("[dev4]"));
  CHECK(printed.has("[dev7]"));
}

TEST_CASE("a job that cannot be done here is skipped, with what it says, and not tried again") {
  Printed printed;
  auto options = printed.options({0});
  options.skip_code = 4;
  const auto summary = run_in_parallel(
      {shell("here", "exit 0"), shell("nowhere", "echo there is no such thing; exit 4")}, options);
  CHECK(summary.passed == 1);
  CHECK(summary.failed.empty());
  CHECK(summary.flaky.empty());
  CHECK(summary.skipped == std::vector<std::string>{"nowhere"});
  CHECK(summary.exit_code() == 0);
  CHECK(printed.has("[2/2] SKIP: nowhere"));
  CHECK(printed.has("there is no such thing"));
  CHECK_FALSE(printed.has("retrying"));
  CHECK_FALSE(printed.has("exit code"));
}

TEST_CASE("a job that crashes or hangs is killed and disturbs no other, and its output is shown") {
  Printed printed;
  auto options = printed.options({0, 1});
  options.timeout = std::chrono::seconds{10};
  options.retries = 0;
  const auto summary = run_in_parallel({shell("crashes", "echo before the end; kill -SEGV $$"),
                                        shell("hangs", "sleep 1000"), shell("good", "exit 0")},
                                       options);
  CHECK(summary.passed == 1);
  CHECK(summary.failed.size() == 2);
  CHECK(summary.timed_out == std::vector<std::string>{"hangs"});
  CHECK(summary.exit_code() == 124);
  CHECK(printed.has("FAIL: crashes"));
  CHECK(printed.has("    before the end"));
  CHECK(printed.has("killed by signal 11"));
  CHECK(printed.has("timed out after "));
}

TEST_CASE("only what failed is tried again, in a fresh process") {
  char folder[] = "/tmp/troupe-runner-XXXXXX";
  REQUIRE(mkdtemp(folder) != nullptr);
  const std::string marker = std::string{folder} + "/";
  Printed printed;
  const auto summary = run_in_parallel(
      {shell("flaky", "echo run >> " + marker + "flaky; test $(wc -l < " + marker + "flaky) -eq 2"),
       shell("good", "echo run >> " + marker + "good; test $(wc -l < " + marker + "good) -eq 1"),
       shell("bad", "exit 3")},
      printed.options({0}));
  std::filesystem::remove_all(folder);
  CHECK(summary.passed == 2);
  CHECK(summary.flaky == std::vector<std::string>{"flaky"});
  CHECK(summary.failed == std::vector<std::string>{"bad"});
  CHECK(summary.exit_code() == 1);
  CHECK(printed.has("retrying 2 of 3"));
  CHECK(printed.has("[2/2] FAIL: bad"));
}

TEST_CASE("after a failure, fail_fast starts nothing more") {
  Printed printed;
  auto options = printed.options({0});
  options.fail_fast = true;
  const auto summary = run_in_parallel({shell("bad", "exit 1"), shell("never", "exit 0")}, options);
  CHECK(summary.failed == std::vector<std::string>{"bad"});
  CHECK(summary.not_run == std::vector<std::string>{"never"});
}

TEST_CASE("a program that cannot be started is a failure of its job") {
  Printed printed;
  auto options = printed.options({0});
  options.retries = 0;
  const auto summary =
      run_in_parallel({{"missing", [](int) { return std::vector<std::string>{"/no/such/program"}; }},
                       shell("good", "exit 0")},
                      options);
  CHECK(summary.passed == 1);
  CHECK(summary.failed == std::vector<std::string>{"missing"});
  CHECK(printed.has("/no/such/program"));
}
