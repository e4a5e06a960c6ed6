#pragma once

// A DeviceContext in the form that bring-up of the comm floor wants. It borrows the context.
// Threads: one caller, who is also the context's; abort() from any thread.
// Errors are Results with the platform's codes.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "troupe/comm/bootstrap.hpp"
#include "troupe/platform/device_context.hpp"
#include "troupe/runtime/export.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::platform {

/// A context as chip bring-up (`comm::ChipBootstrap`) wants it: its device, its copies, and the platform's
/// blocking communication session (`comm_*`; a platform without them is `unsupported`, noticed when the
/// config has a communicator).
///
/// The session's windows and buffers are device memory: kernels get their addresses as scalars or device
/// tensors, copies of the context reach them. They live as long as the `ChipBootstrap`.
///
/// Borrows the context, which must outlive this object, and this object the bring-up. One caller at a time,
/// who is also the context's one caller, except `abort`. Meeting the other ranks blocks: bring each chip up
/// on a thread of its own.
class TROUPE_API ContextBootstrapDevice final : public comm::BootstrapDevice {
 public:
  explicit ContextBootstrapDevice(DeviceContext& context) noexcept : context_(context) {}

  /// Fine when the context has that device already; another one is invalid_state.
  Result<void> set_device(int device_id) override;
  Result<void> copy_to(std::uint64_t device, const void* host, std::size_t bytes) override;
  Result<void> copy_from(void* host, std::uint64_t device, std::size_t bytes) override;
  Result<std::unique_ptr<comm::BootstrapCommunicator>> communicator(
      const comm::ChipCommBootstrapConfig& config) override;

  /// Gives up the bring-up, or the chip that came up, for every rank: no rank waits for this chip any longer.
  /// For a caller that brings several chips up and has seen one fail before it met the others. Any thread,
  /// any time; it holds for this object from then on.
  void abort() noexcept;

 private:
  DeviceContext& context_;
  std::atomic<bool> aborted_ = false;
};

}  // namespace troupe::platform
