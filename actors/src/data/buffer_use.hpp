#pragma once

#include <cstdint>

#include "data/buffer.hpp"
#include "troupe/actors/arguments.hpp"

namespace troupe::actors {

/// Whether a tensor argument is all of its buffer.
inline bool is_whole(const Operand& operand) {
  return operand.tensor.bytes() == operand.buffer->bytes() && operand.tensor.is_contiguous();
}

/// How a task uses a buffer, by all its arguments that view it.
struct BufferUse {
  Buffer* buffer = nullptr;
  std::uint16_t argument = 0;  ///< the first of them
  bool reads = false, writes = false;
};

/// Calls `visit(use)` for each buffer that the arguments view.
template <class Visit>
void for_each_buffer(const Arguments& args, Visit visit) {
  const auto& tensors = args.tensors;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    auto* buffer = tensors[i].buffer;
    bool seen = buffer == nullptr;
    for (std::size_t k = 0; k < i && !seen; ++k) seen = tensors[k].buffer == buffer;
    if (seen) continue;
    BufferUse use{buffer, static_cast<std::uint16_t>(i)};
    for (std::size_t k = i; k < tensors.size(); ++k) {
      if (tensors[k].buffer != buffer) continue;
      const bool writes = runtime::writes(tensors[k].tag);
      use.writes = use.writes || writes;
      // Who writes a part leaves the rest as it was.
      use.reads = use.reads || !writes || runtime::reads(tensors[k].tag) || !is_whole(tensors[k]);
    }
    visit(use);
  }
}

}  // namespace troupe::actors
