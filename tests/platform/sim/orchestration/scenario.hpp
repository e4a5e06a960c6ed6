#pragma once

#include <algorithm>
#include <map>
#include <set>

#include "orchestration/objects/scenarios.hpp"
#include "orchestration/orchestrations.hpp"

namespace troupe::test {

/// One chip with the orchestration `scenarios`, and the memory that its runs work on.
struct Scenarios : Orchestrations {
  Scenarios(const std::string& platform, const std::string& runtime,
            const std::map<std::string, std::string>& options = {})
      : Orchestrations(platform, options),
        is_host_graph(runtime == "hbg"),
        callable(add_packed("scenarios", runtime,
                            {{0, "linear"},
                             {1, "contexts"},
                             {2, "counter"},
                             {3, "defers"},
                             {4, "raises"},
                             {5, "meets"},
                             {6, "copies_word"}})) {}

  template <class... More>
  RunArgs args(Scenario what, const More&... more) {
    return RunArgs::of(inout(Tensor::host(x.data(), {64})), inout(Tensor::host(y.data(), {64})),
                       inout(Tensor::host(z.data(), {64})), inout(Tensor::host(notes.data(), {64})),
                       scalar(static_cast<std::int32_t>(what)), scalar(more)...);
  }
  /// The error, or nothing.
  template <class... More>
  std::optional<Error> fails(Scenario what, const More&... more) {
    auto done = run(callable, args(what, more...));
    if (!done) return done.error();
    tasks = done->chip_tasks;
    return std::nullopt;
  }
  template <class... More>
  void runs(Scenario what, const More&... more) {
    const auto failure = fails(what, more...);
    REQUIRE_MESSAGE(!failure, render(*failure));
  }
  template <class... More>
  std::int32_t code(Scenario what, const More&... more) {
    const auto failure = fails(what, more...);
    if (!failure) return 0;
    message = failure->message();
    return failure->code().value;
  }
  /// The producers of each task that ran a kernel, by number.
  template <class... More>
  std::map<std::uint64_t, std::set<std::uint64_t>> producers(Scenario what, const More&... more) {
    const RunArgs arguments = args(what, more...);
    troupe_run asked = arguments.run(0, callable);
    asked.flags |= TROUPE_RUN_PROFILE;
    producers_of.clear();
    const auto done = context.run(asked);
    REQUIRE_MESSAGE(done.has_value(), render(done.error()));
    return producers_of;
  }

  const bool is_host_graph;
  std::uint64_t callable;
  std::uint64_t tasks = 0;
  std::string message;
  std::vector<float> x = std::vector<float>(64, 3.0f), y = std::vector<float>(64, 0.0f),
                     z = std::vector<float>(64, 0.0f);
  std::vector<std::int32_t> notes = std::vector<std::int32_t>(64, 0);
};

/// The same on both platforms, for both runtimes: `body(chip)`.
template <class Body>
void everywhere(Body body) {
  for (const auto* platform : platforms) {
    for (const auto* runtime : runtimes) {
      CAPTURE(platform);
      CAPTURE(runtime);
      Scenarios chip(platform, runtime);
      body(chip);
    }
  }
}

inline std::vector<float> all(float value) { return std::vector<float>(64, value); }

}  // namespace troupe::test
