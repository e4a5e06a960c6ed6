#pragma once

#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "troupe/runtime/task_graph.hpp"

namespace troupe::actors {

/// Graphs of runs that have ended, for runs to come: a graph is some twenty pieces of memory. All of one
/// configuration. Thread-safe; shared by a worker and its runs.
class SpareGraphs {
 public:
  explicit SpareGraphs(const runtime::TaskGraphConfig& config) : config_(config) { graphs_.reserve(most); }

  runtime::TaskGraph take() {
    {
      std::lock_guard guard(mutex_);
      if (!graphs_.empty()) {
        auto graph = std::move(graphs_.back());
        graphs_.pop_back();
        return graph;
      }
    }
    return runtime::TaskGraph(config_);
  }
  void keep(runtime::TaskGraph graph) noexcept {
    try {
      graph.restart(config_);
    } catch (const std::bad_alloc&) {
      return;
    }
    std::lock_guard guard(mutex_);
    if (graphs_.size() < most) graphs_.push_back(std::move(graph));
  }

 private:
  static constexpr std::size_t most = 8;

  const runtime::TaskGraphConfig config_;
  std::mutex mutex_;
  std::vector<runtime::TaskGraph> graphs_;
};

}  // namespace troupe::actors
