#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "memory/device_memory.hpp"
#include "troupe/comm/communicator.hpp"
#include "troupe/comm/domain.hpp"
#include "troupe/platform/device_abi.h"
#include "troupe/runtime/result.hpp"

namespace troupe::platform::common {

/// The windows of one chip, split-phase ones and those of blocking communicators: their slices are part of
/// the chip's memory, and the waits of kernels on flags in them go through the domain, so that the death of a
/// peer ends them. Safe from any thread.
class WindowSet {
 public:
  /// `several`: whether a communicator may begin while another one is live.
  WindowSet(DeviceMemory& memory, bool several) : memory_(memory), several_(several) {}
  ~WindowSet();

  Result<std::uint64_t> create(const troupe_window_spec& spec, troupe_window_blob& blob);
  Result<void> import(std::uint64_t window, std::uint32_t rank, const troupe_window_blob& blob);
  Result<troupe_window_view> commit(std::uint64_t window);
  Result<void> abort(std::uint64_t window, std::int32_t code, std::uint32_t rank);
  Result<void> release(std::uint64_t window);
  /// First byte and size of the local window, and the address of its CommContext; zeros before commit.
  Result<troupe_window_view> view(std::uint64_t window) const;
  std::size_t size() const;

  /// The six blocking functions; null or an error with the communicator's own code.
  Result<void*> comm_init(std::int32_t rank, std::int32_t ranks, const char* meeting);
  Result<std::uint64_t> comm_alloc_windows(void* comm, std::uint64_t bytes);
  Result<std::uint64_t> comm_window_base(void* comm) const;
  Result<std::uint64_t> comm_window_size(void* comm) const;
  Result<void> comm_barrier(void* comm);
  Result<void> comm_destroy(void* comm);
  void comm_abort() noexcept { sessions_.abort_all(); }

  /// The domain one of whose windows holds `address`, or nothing.
  std::shared_ptr<comm::DomainMember> domain_at(const void* address) const;
  /// Ends every wait in every domain, for a chip that is torn down.
  void abort_all() noexcept;

 private:
  struct OpenSession {
    comm::CommSessions::Handle handle;
    std::uint64_t base;
  };
  Result<std::shared_ptr<comm::DomainMember>> find(std::uint64_t window) const;
  Result<comm::CommSessions::Handle> communicator(void* comm) const;
  Error comm_failure(const char* function) const;

  DeviceMemory& memory_;
  const bool several_;
  comm::CommSessions sessions_;
  mutable std::mutex mutex_;
  std::map<std::uint64_t, std::shared_ptr<comm::DomainMember>> windows_;
  std::map<std::uint64_t, std::vector<troupe_window_gap>> gaps_;  ///< of windows that are not committed
  std::vector<OpenSession> communicators_;
  std::uint64_t next_ = 1;
};

}  // namespace troupe::platform::common
