#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "troupe/platform/device_abi.h"
#include "troupe/runtime/result.hpp"
#include "wire/bytes.hpp"

namespace troupe::platform::isolation {

/// Where a host tensor's buffer lies: in a piece of memory that both processes have mapped, `buffer` bytes
/// from its beginning. Travels in the bytes of the argument that are reserved. 0: the number is what it is.
std::uint32_t piece_of(const troupe_tensor_arg& tensor) noexcept;
void set_piece(troupe_tensor_arg& tensor, std::uint32_t piece) noexcept;

/// Appends a run. `tensors`: its tensors as they are to arrive. `is_graph`: its callable is a graph.
void put_run(Writer& to, const troupe_run& run, std::span<const troupe_tensor_arg> tensors,
             bool is_graph = false);

/// Of runs as bytes: whether all of their memory is the device's or a piece's, none a mere address of whoever
/// sent them. `each` gets the number of each run.
bool uses_pieces_only(Reader from, std::uint64_t count, const std::function<void(std::uint64_t)>& each);

/// Runs that have come, with the memory that they point to.
class RunBatch {
 public:
  /// Finds the address of host memory: of `bytes` at `offset` of a piece. 0: there is none.
  using Locate = std::function<std::uint64_t(std::uint32_t piece, std::uint64_t offset, std::uint64_t bytes)>;

  /// Reads `count` runs. False: there are not so many.
  bool read(Reader& from, std::uint32_t count, const Locate& locate);
  std::span<const troupe_run> runs() const { return runs_; }
  bool is_graph(std::size_t run) const { return graphs_[run]; }

 private:
  std::vector<troupe_run> runs_;
  std::vector<bool> graphs_;
  std::vector<std::vector<troupe_tensor_arg>> tensors_;
  std::vector<std::vector<std::uint64_t>> words_;  ///< scalars, then what it depends on
  std::vector<std::vector<std::uint8_t>> kinds_;
  std::vector<std::string> names_;
};

}  // namespace troupe::platform::isolation
