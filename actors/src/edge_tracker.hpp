#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <tuple>
#include <vector>

#include "troupe/actors/trace.hpp"
#include "troupe/runtime/access.hpp"
#include "troupe/runtime/task_args.hpp"

namespace troupe::actors {

/// Which earlier tasks a task depends on by its data, for traces. The graph that runs the tasks forgets those
/// that have ended; a person wants to see the edge all the same, however fast the producer was.
///
/// Looks at tensors buffer by buffer: two descriptions of overlapping memory with different base addresses
/// are not recognised (the graph itself does). Remembers the latest `remembered` accesses of each buffer.
class EdgeTracker {
 public:
  static constexpr std::size_t remembered = 1024;

  /// Tells `task`, which comes after all tasks told before, and appends its edges.
  void submit(TaskId task, std::span<const runtime::TensorArg> tensors, std::vector<TraceEdge>& edges);

 private:
  struct Access {
    TaskId task = 0;
    runtime::Box box;
    bool reads = false, writes = false;
  };
  using Buffer = std::tuple<std::uint32_t, std::uint32_t, std::uint64_t>;
  std::map<Buffer, std::vector<Access>> buffers_;
};

}  // namespace troupe::actors
