#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "troupe/runtime/access.hpp"
#include "troupe/runtime/tensor.hpp"

namespace troupe::actors {

/// Which bytes of one buffer some task has been given to write. Ranges without gaps become one where they
/// meet; of boxes with gaps it keeps a few: with more it knows nothing any more and takes all for written. So
/// what it calls unwritten is.
class TROUPE_API WrittenParts {
 public:
  void add(const runtime::Tensor& view);
  /// Whether none of the view's elements has been written.
  bool none_of(const runtime::Tensor& view) const;
  /// A part of the view that has not been written, as a view; nothing: there is none, or it is hard to say.
  std::optional<runtime::Tensor> missing_in(const runtime::Tensor& view) const;
  /// Whether the buffer's bytes all have been.
  bool all(std::uint64_t bytes) const;

 private:
  static constexpr std::size_t most_boxes = 64;
  static constexpr int most_steps = 4096;  ///< of a search

  void add_range(std::uint64_t lo, std::uint64_t hi);
  bool add_beside(const runtime::Box& box);
  bool holds(const runtime::Box& box) const;
  bool touches(const runtime::Box& box) const;
  std::optional<runtime::Tensor> search(const runtime::Tensor& view, int& steps) const;

  std::map<std::uint64_t, std::uint64_t> ranges_;  ///< begin, end; none meets another
  std::vector<runtime::Box> boxes_;                ///< with gaps
  bool unknown_ = false;
};

}  // namespace troupe::actors
