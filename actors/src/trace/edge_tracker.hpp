#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <tuple>
#include <vector>

#include "troupe/actors/tensor.hpp"
#include "troupe/actors/trace.hpp"
#include "troupe/runtime/access.hpp"
#include "troupe/runtime/task_args.hpp"
#include "troupe/runtime/tensor.hpp"

namespace troupe::actors {

/// Which earlier tasks a task depends on by its data, for traces. The graph that runs the tasks forgets those
/// that have ended; a person wants to see the edge all the same, however fast the producer was.
///
/// Tensors over the same bytes are recognised however they were made, as the graph itself does: buffers of
/// one arena that overlap are looked at together. Remembers the latest `remembered` accesses of each.
class EdgeTracker {
 public:
  static constexpr std::size_t remembered = 1024;

  /// Tells `task`, which comes after all tasks told before, and appends its edges.
  void submit(TaskId task, std::span<const Operand> tensors, std::vector<TraceEdge>& edges);

 private:
  struct Access {
    TaskId task = 0;
    runtime::Box box;  ///< bytes from the memory's begin
    bool reads = false, writes = false;
  };
  /// Bytes of an arena that some tensor's buffer was, or several that overlap.
  struct Memory {
    std::uint64_t end = 0;
    std::vector<Access> past;
  };
  /// Arena, generation, first byte.
  using Place = std::tuple<std::uint32_t, std::uint32_t, std::uint64_t>;
  using Memories = std::map<Place, Memory>;
  Memories::iterator memory_of(const runtime::Tensor& tensor);

  Memories memories_;
};

}  // namespace troupe::actors
