#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "troupe/platform/device_abi.h"
#include "wire/bytes.hpp"

namespace troupe::platform::isolation {

/// A graph's description is longer than a frame may be: it goes in such pieces, each of which is answered.
inline constexpr std::size_t graph_piece_bytes = std::size_t{1} << 20U;
/// Longer ones are not taken: their tasks are launched as runs.
inline constexpr std::uint64_t most_graph_bytes = std::uint64_t{512} << 20U;

/// Before bytes of a description: where they belong, and how long it is. The one that completes it asks for
/// the graph's number.
struct GraphPiece {
  std::uint64_t offset = 0, bytes = 0;
};

/// Appends a graph whose lists are as long as it says.
void put_graph(Writer& to, const troupe_graph& graph);

/// A graph that has come, with the memory that it points to. What it means is looked at by who takes it.
class GraphNews {
 public:
  /// False: that is none.
  bool read(Reader from);
  const troupe_graph& graph() const { return graph_; }

 private:
  troupe_graph graph_{};
  std::string name_;
  std::vector<troupe_graph_task> tasks_;
  std::vector<troupe_graph_tensor> tensors_;
  std::vector<troupe_graph_scalar> scalars_;
  std::vector<std::uint32_t> producers_;
  std::vector<troupe_tensor_arg> slots_;
  std::vector<char> names_;
};

}  // namespace troupe::platform::isolation
