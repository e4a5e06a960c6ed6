#pragma once

#include <array>
#include <initializer_list>
#include <string>
#include <vector>

#include "troupe/runtime/task_args.hpp"
#include "troupe/runtime/task_graph.hpp"

namespace troupe::test {

// Short words for tests of the graph.
struct GraphFixture {
  runtime::TaskGraph graph;
  static constexpr std::uint64_t bytes = 1024;

  explicit GraphFixture(const runtime::TaskGraphConfig& config = {}) : graph(config) {}

  static runtime::Access on(std::uint64_t buffer, runtime::Tag tag) {
    return runtime::Access::whole({1, 0, buffer * bytes}, bytes, tag);
  }
  static runtime::Access on(runtime::BufferRef ref, std::uint64_t size, runtime::Tag tag) {
    return runtime::Access::whole(ref, size, tag);
  }
  runtime::TaskId task(std::string_view name, std::initializer_list<runtime::Access> accesses,
                       std::initializer_list<runtime::TaskId> after = {}) {
    return graph.submit({.name = name, .accesses = list(accesses), .after = {after.begin(), after.size()}})
        .value();
  }
  std::span<const runtime::Access> list(std::initializer_list<runtime::Access> accesses) {
    kept_.assign(accesses);
    return kept_;
  }
  // All ready tasks of kind 0, in order, now running.
  std::vector<runtime::TaskId> pop_all(std::uint8_t kind = 0) {
    std::vector<runtime::TaskId> ids;
    while (const runtime::Work work = graph.pop_ready(kind)) ids.push_back(work.id);
    return ids;
  }
  void run_all() {
    for (;;) {
      const auto ids = pop_all();
      if (ids.empty()) return;
      for (const runtime::TaskId id : ids) graph.complete(id);
    }
  }

 private:
  std::vector<runtime::Access> kept_;
};

enum class Broken : std::int32_t { kernel = 1 };
inline std::string_view error_name(Broken) { return "kernel"; }
inline Error broken(std::string what = "kernel broke") { return {Broken::kernel, std::move(what)}; }

}  // namespace troupe::test
