#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <tuple>
#include <vector>

#include "orchestration/object_abi.hpp"
#include "troupe/runtime/access.hpp"

namespace troupe::platform::sim {

/// Who has written what, as the other system remembers it: it has room for so many entries, and a task for so
/// many producers. Counts alone: dependencies are the graph's. Cheap until there are as many entries as there
/// may be; only then it is looked at which of them a later task has written over, and which makes them fewer.
class Writers {
 public:
  static constexpr std::size_t most = 65'536;

  /// `reads_too`: what lies inside of it is forgotten. False: there is no room.
  bool add(const object_abi::Tensor& tensor, bool reads_too, std::uint64_t task);
  /// What comes from now on can be forgotten together.
  std::size_t mark() const noexcept { return entries_.size() + order_.size(); }
  void forget(std::size_t mark);
  /// Adds the tasks that have written some of it.
  void add_producers(const object_abi::Tensor& tensor, std::vector<std::uint64_t>& producers) const;

 private:
  struct Entry {
    std::uint64_t address, start, task;
    std::uint32_t ndims;
    std::uint8_t dtype, is_contiguous;
    bool reads_too;
    std::uint32_t shapes[runtime::limits::max_dims], strides[runtime::limits::max_dims];
  };
  struct Known {
    runtime::Box box;
    std::uint64_t task;
  };
  using Key = std::tuple<std::uint64_t, std::uint64_t, std::uint64_t>;  ///< address, first byte, number

  static Entry entry_of(const object_abi::Tensor& tensor, bool reads_too, std::uint64_t task) noexcept;
  static runtime::Box box_of(const Entry& entry) noexcept;
  void know(const Entry& entry);

  std::vector<Entry> entries_;  ///< while all are kept; then
  std::map<Key, Known> known_;  ///< those that count,
  std::vector<Key> order_;      ///< and all of them as they came
};

}  // namespace troupe::platform::sim
