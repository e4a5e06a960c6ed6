#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "memory/memory.hpp"
#include "runs/run.hpp"
#include "runs/tensors.hpp"
#include "troupe/runtime/result.hpp"
#include "troupe/runtime/task_args.hpp"

namespace troupe::platform::common {

/// Brings the arguments of a run to the chip and its outputs back. Host tensors whose bytes overlap share one
/// device copy, so aliases stay aliases; what is read is copied in, what is written is copied back, element
/// by element, so neighbours in the same buffer are never touched. Device-resident tensors are checked and
/// passed through. The memory is kept for the next run. One run at a time, one thread.
class Staging {
 public:
  /// `checked`: every copy gets an allocation with guards of its own, what lies between the elements of views
  /// is a guard too, and memory that is only written starts out poisoned, so that a kernel that does not
  /// write every byte is seen.
  Staging(DeviceMemory& memory, bool checked) : memory_(memory), checked_(checked) {}
  ~Staging() { release(); }
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  /// Afterwards `tensors()` are the run's tensors with device addresses (arena 0, the offset is the address).
  Result<void> copy_in(const Run& run);
  void copy_back() noexcept;
  /// Forgets the run; frees what is too large to keep.
  void finish() noexcept;

  std::span<const runtime::Tensor> tensors() const noexcept { return device_; }

 private:
  Result<void> look_at(const Run& run);
  Result<void> place();
  void guard_gaps();
  void release() noexcept;

  DeviceMemory& memory_;
  bool checked_;
  std::vector<runtime::Tensor> host_;    ///< as launched
  std::vector<runtime::Tensor> device_;  ///< as kernels see them
  std::vector<runtime::Tag> tags_;
  std::vector<bool> resident_;
  std::vector<HostExtent> extents_;
  std::vector<std::uint64_t> pieces_;  ///< allocations of this run alone
  std::uint64_t pool_ = 0;             ///< kept between runs
  std::size_t pool_size_ = 0;
};

}  // namespace troupe::platform::common
