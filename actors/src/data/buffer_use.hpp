#pragma once

#include <algorithm>
#include <cstdint>

#include <boost/container/small_vector.hpp>

#include "data/buffer.hpp"
#include "troupe/actors/arguments.hpp"
#include "troupe/runtime/access.hpp"

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

/// How a task uses a part of a buffer: the smallest of its views that has all of those that meet.
struct PartUse {
  Buffer* buffer = nullptr;
  std::uint16_t argument = 0;  ///< the first of them
  bool whole = false;
  bool at_home = false;  ///< in host memory
  bool reads = false, writes = false;
  runtime::Box box = {};

  bool meets(const runtime::Box& other) const { return whole || runtime::overlaps(box, other); }
};
using PartUses = boost::container::small_vector<PartUse, 4>;

inline runtime::Box whole_box(const Buffer& buffer) {
  runtime::Box box;
  box.hi = buffer.bytes();
  return box;
}

/// The bytes of an argument with a buffer.
inline runtime::Box box_of(const Operand& operand) {
  return is_whole(operand) ? whole_box(*operand.buffer) : runtime::make_box(operand.tensor);
}

/// The uses of all arguments with a buffer and bytes. `is_at_home(index)`: it is used in host memory; those
/// are looked at one by one.
template <class IsAtHome>
PartUses part_uses(const Arguments& args, IsAtHome is_at_home) {
  PartUses uses;
  boost::container::small_vector<runtime::Box, 8> boxes(args.tensors.size());
  for (std::size_t i = 0; i < args.tensors.size(); ++i) {
    const auto& operand = args.tensors[i];
    if (operand.buffer == nullptr || operand.tensor.bytes() == 0) continue;
    PartUse mine{operand.buffer, static_cast<std::uint16_t>(i), is_whole(operand), is_at_home(i)};
    boxes[i] = mine.whole ? whole_box(*operand.buffer) : runtime::make_box(operand.tensor);
    mine.box = boxes[i];
    bool inside = false;
    for (auto use = uses.begin(); use != uses.end() && !inside;) {
      const bool one_copy = use->buffer == mine.buffer && !use->at_home && !mine.at_home;
      inside = one_copy && runtime::covers(use->box, mine.box);
      if (one_copy && !inside && runtime::covers(mine.box, use->box)) {
        mine.argument = std::min(mine.argument, use->argument);
        use = uses.erase(use);
      } else {
        ++use;
      }
    }
    if (!inside) uses.push_back(mine);
  }
  for (std::size_t i = 0; i < args.tensors.size(); ++i) {
    const auto& operand = args.tensors[i];
    if (operand.buffer == nullptr || operand.tensor.bytes() == 0) continue;
    const bool at_home = is_at_home(i);
    const auto& box = boxes[i];
    for (auto& use : uses) {
      if (use.buffer != operand.buffer || use.at_home != at_home || !runtime::covers(use.box, box)) continue;
      const bool writes = runtime::writes(operand.tag);
      use.writes = use.writes || writes;
      // Who writes a part of it leaves the rest as it was.
      use.reads = use.reads || !writes || runtime::reads(operand.tag) || !(use.box == box) || box.hull;
      if (!at_home) break;
    }
  }
  return uses;
}

}  // namespace troupe::actors
